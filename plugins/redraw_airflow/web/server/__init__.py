"""What every page needs: access rights, buckets, worker processes, headers, errors."""
