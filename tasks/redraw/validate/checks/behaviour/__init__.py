"""Checks that send requests to the loaded model in the serving process.

A layer in training mode answers differently the second time or next to other rows, or changes its
variables; and an unusual request must not crash the server.
"""
