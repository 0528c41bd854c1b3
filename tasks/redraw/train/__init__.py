"""Train a model: checkpoints and metrics in a folder or a bucket."""
