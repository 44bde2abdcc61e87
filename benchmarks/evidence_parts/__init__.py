"""The sections of docs/evidence.md, which benchmarks/evidence.py puts together."""
