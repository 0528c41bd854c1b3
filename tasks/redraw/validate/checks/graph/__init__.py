"""Checks of the graph: signatures, operations, and what training left in it."""
