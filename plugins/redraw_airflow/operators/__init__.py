"""One operator for each stage."""
