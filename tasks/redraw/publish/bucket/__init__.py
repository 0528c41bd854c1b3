"""What lies where in a model bucket, whether it is complete, and who signed it."""
