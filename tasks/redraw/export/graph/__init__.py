"""Draw the inference graph: variables are declared and never allocated."""
