"""The events of a published model, and the webhooks that receive them."""
