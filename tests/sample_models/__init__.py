"""Definitions of the other kinds that fit the contract, for tests: small enough to train at once."""
