"""Publish a validated export as an immutable version."""
