"""Restrict a process before it loads a model: its files, network, other processes and memory."""
