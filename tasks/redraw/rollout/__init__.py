"""Does every model server have a version, and does it answer as recorded? Asked of the servers themselves."""
