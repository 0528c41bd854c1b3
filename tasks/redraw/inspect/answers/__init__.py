"""Compare the answers of two versions to the same requests."""
