"""What the checks look at: the export, its checkpoint, the live version, the references."""
