"""Benchmarks: what the promises about speed cost, measured (`make bench`). Results: docs/benchmarks.md."""
