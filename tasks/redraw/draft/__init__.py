"""Draft a definition from what training recorded."""
