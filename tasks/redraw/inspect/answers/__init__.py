"""What two versions answer to the same requests, and how far that is apart."""
