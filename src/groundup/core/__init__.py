"""Ground floor: config base, errors, files, random numbers, devices, progress. Imports nothing from above."""
