"""From the path in a recipe to a list of files, one module for each scheme."""
