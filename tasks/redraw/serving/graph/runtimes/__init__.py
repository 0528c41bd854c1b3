"""Which operations each release of TensorFlow knows, without TensorFlow."""
