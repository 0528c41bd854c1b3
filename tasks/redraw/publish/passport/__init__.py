"""What other tools read about a version: a model card, attestations, a bill of materials, deployments."""
