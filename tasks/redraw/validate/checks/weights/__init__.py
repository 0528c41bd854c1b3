"""Checks of the weights: finite, once, and those of the checkpoint."""
