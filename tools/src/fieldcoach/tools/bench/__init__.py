"""Benchmarks: each has a name, ends by itself, and reports figures by the names its page gives."""
