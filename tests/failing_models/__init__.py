"""Definitions whose validation fails, and one that trains for long enough to be watched."""
