"""Compare the layers of a Keras model in a file with those that a definition builds."""
