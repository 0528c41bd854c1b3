"""Open the outside reference of a definition, and translate its names to the definition's."""
