"""The layout of a model bucket, whether its versions are complete, and who signed them."""
