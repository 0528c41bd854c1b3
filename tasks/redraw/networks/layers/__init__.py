"""The layers of a Keras model, as a file describes them and as a definition draws them, compared."""
