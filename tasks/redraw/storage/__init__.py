"""Local folders and Cloud Storage buckets behind one interface."""
