"""Compare the weights of two versions."""
