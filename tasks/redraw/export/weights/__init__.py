"""Map every served variable to a checkpoint key, then copy the bytes."""
