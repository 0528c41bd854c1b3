"""Tell others what has changed about a published model: the events, and the webhooks that take them."""
