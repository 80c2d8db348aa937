"""The data files of a table, one by one: for tables whose files are what is handed on, such as a stream's landing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lakehouse.delta import store
from lakehouse.delta.log import latest_version
from lakehouse.delta.replay import active_files

if TYPE_CHECKING:
    import pyarrow as pa


def files_in(path: str) -> list[dict[str, Any]]:
    """The content of every add action in force at the latest version; none where there is no table.

    Raises LogIncomplete where commits are gone, UnknownFeature for an action that is not known.
    """
    version = latest_version(path)
    return active_files(path, version) if version >= 0 else []


def file_batches(path: str, file: str, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of `file`, spelled as in the log, `rows` at a time. Raises FileNotFoundError."""
    import pyarrow.parquet as pq

    with store.arrow_filesystem(path).open_input_file(store.decoded(file)) as opened:
        # Its partition columns stand in the log alone.
        yield from pq.ParquetFile(opened).iter_batches(rows)
