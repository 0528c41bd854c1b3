"""Find the problems of SavedModels and checkpoints from elsewhere, and heal SavedModels."""
