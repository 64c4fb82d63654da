"""The `fieldcoach` command: local stack, a phone in Python, benchmarks. A client of the public surface."""
