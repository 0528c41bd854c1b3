"""Show what a checkpoint or a SavedModel holds, and compare the weights of two versions."""
