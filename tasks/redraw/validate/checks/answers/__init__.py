"""Checks of answers: the same as the checkpoint, good enough, not worse than the live version."""
