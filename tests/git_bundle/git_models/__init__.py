"""Definitions in a git bundle of the running instance."""
