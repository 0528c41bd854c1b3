"""Files and objects: local folders and Cloud Storage buckets behind one interface."""
