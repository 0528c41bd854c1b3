"""Checks of the files of a SavedModel."""
