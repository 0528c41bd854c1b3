"""The TensorBundle format, read and written without TensorFlow."""
