"""Describe checkpoints and SavedModels, and compare the weights and answers of two versions."""
