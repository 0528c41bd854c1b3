"""The operator that waits until the model servers have a version, and its trigger."""
