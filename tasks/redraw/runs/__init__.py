"""The files of a training run, in a folder or in a bucket."""
