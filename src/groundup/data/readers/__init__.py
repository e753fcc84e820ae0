"""From the bytes of a file to its records, one module for each kind of file."""
