"""The object graph in a checkpoint: which object owns a variable, and what its role is."""
