"""What a definition names as a witness of its answers: opened, and brought to the definition's names."""
