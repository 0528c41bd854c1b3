"""Waiting until the model servers have a version: the operator, and its trigger."""
