"""A phone in Python: a client of the public surface only."""
