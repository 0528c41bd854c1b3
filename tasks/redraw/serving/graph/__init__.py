"""The serving graph: its operations, where they come from and which releases know them."""
