"""Remove old versions."""
