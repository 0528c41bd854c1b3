"""The checkpoint catalogue: what is in it, and how checkpoints get there."""
