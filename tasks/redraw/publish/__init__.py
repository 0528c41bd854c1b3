"""Publish versions in a bucket, say which one is live, look after them.

push/     a version appears in the bucket, exactly once and never half
live/     which version servers load
prune/    old versions go
bucket/   what lies where in a bucket, and whether it is intact
"""
