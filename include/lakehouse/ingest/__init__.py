"""Extraction: source rows of a window, streamed as Arrow into landing files, PII protected on the way.

Not here: what the rows mean (`lakehouse.bronze`) and which windows are due (`lakehouse.pipeline`).
"""
