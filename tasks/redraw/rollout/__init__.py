"""Check that every model server has a version and answers as recorded."""
