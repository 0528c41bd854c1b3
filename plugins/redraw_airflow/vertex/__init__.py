"""Register versions in Vertex AI."""
