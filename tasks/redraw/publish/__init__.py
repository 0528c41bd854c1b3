"""Publish versions in a bucket, say which one is live, look after them.

push/     publish a version exactly once, and never half of it
live/     choose which version servers load
prune/    remove old versions
bucket/   the layout of a model bucket, and whether its versions are intact
"""
