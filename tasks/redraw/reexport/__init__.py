"""Export, validate and publish many checkpoints in one process."""
