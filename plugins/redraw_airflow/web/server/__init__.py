"""What all pages need: access rights, buckets, worker processes, headers, errors."""
