"""The serving graph: its operations, the origins of its tensors, and the releases that know them."""
