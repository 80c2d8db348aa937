"""Feeds of files: delimited text and JSON lines, plain or gzipped, on S3 or in a folder, each object loaded once.

All values are handed on as text. An object that cannot be read whole is set aside as one row, a line that cannot be
cut into columns as a row of its own. Objects are read as streams: memory does not grow with them, and nothing of them
is written down before PII is protected.
"""

from lakehouse.ingest.files.feed import FilesFeed, feed

__all__ = ["FilesFeed", "feed"]
