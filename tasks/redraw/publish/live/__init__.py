"""Which version is live, labelled or pinned."""
