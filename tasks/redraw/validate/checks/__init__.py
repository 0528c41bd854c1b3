"""The checks, one folder for each thing that they look at."""
