"""Snowflake beside the lake: published tables go there, the changed rows of each since the version that went last.

A version arrives whole or not at all: rows, and the version in the control table beside them, are one transaction
there. Not for reading from Snowflake as a source: see `lakehouse.ingest.sql`.
"""

from lakehouse.warehouse.faults import ColumnConflict, Mismatch, NotPublished, WarehouseFailed
from lakehouse.warehouse.standing import chosen, standing
from lakehouse.warehouse.transfer import Done, publish

__all__ = ["ColumnConflict", "Done", "Mismatch", "NotPublished", "WarehouseFailed", "chosen", "publish", "standing"]
