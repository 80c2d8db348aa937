"""The data files of a table, one by one: for tables whose files are what is handed on, such as a stream's landing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakehouse.delta import store
from lakehouse.delta.commit import append_commit, checkpoint
from lakehouse.delta.features import UnknownFeature
from lakehouse.delta.log import Action, encode, latest_version, read_commit, transaction_version
from lakehouse.delta.record import recorded
from lakehouse.delta.replay import active_files

if TYPE_CHECKING:
    import pyarrow as pa


def files_in(path: str) -> list[dict[str, Any]]:
    """The content of every add action in force at the latest version; none where there is no table.

    Raises LogIncomplete where commits are gone, UnknownFeature for an action that is not known.
    """
    version = latest_version(path)
    return active_files(path, version) if version >= 0 else []


def file_batches(path: str, file: str, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """The rows of `file`, spelled as in the log, `rows` or about `size` bytes at a time. Raises FileNotFoundError."""
    import pyarrow.parquet as pq

    with store.arrow_filesystem(path).open_input_file(store.decoded(file)) as opened:
        # Its partition columns stand in the log alone.
        told = pq.ParquetFile(opened)
        whole = sum(told.metadata.row_group(n).total_byte_size for n in range(told.metadata.num_row_groups))
        most = int(size * told.metadata.num_rows / max(whole, 1))
        yield from told.iter_batches(max(min(rows, most), 1))


def numbers(path: str, column: str, low: int, high: int) -> Iterator[pa.Array]:
    """The values of `column`, whole numbers, from `low` to `high`, of the table or branch at `path`; nulls left out.

    Files whose statistics have none of them are not opened. Raises what `files_in` raises.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    branch = recorded(path)
    table = branch.table_path if branch else path
    for content in files_in(path):
        told = json.loads(content.get("stats") or "{}")
        first, last = (told.get(end, {}).get(column) for end in ("minValues", "maxValues"))
        if first is not None and last is not None and (last < low or first > high):
            continue
        # A branch has files of its own, and such of its table by their whole address.
        own = not urlsplit(content["path"]).scheme
        folder, name = (path, content["path"]) if own else (table, store.relative(table, content["path"]))
        if name is None:
            raise UnknownFeature(f"{path} names a file outside its table: {content['path']}.", "Open the branch again.")
        with store.arrow_filesystem(folder).open_input_file(store.decoded(name)) as opened:
            for batch in pq.ParquetFile(opened).iter_batches(1 << 20, columns=[column]):
                # A file from before the column was there has none.
                for values in batch.columns:
                    within = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
                    yield values.filter(within)


def drop_files(path: str, files: Sequence[Mapping[str, Any]], application: str) -> bool:
    """Take `files` (content of add actions) out of the table by one commit of `application`; their bytes stay.

    False, and nothing is done, where another commit took one of them out meanwhile. Appends beside it do not matter.
    """
    base, at = latest_version(path), int(time.time() * 1000)
    gone = {file["path"] for file in files}
    kept = ("path", "partitionValues", "size")
    removes: list[Action] = [
        {
            "remove": {
                **{k: f[k] for k in kept},
                "deletionTimestamp": at,
                "dataChange": True,
                "extendedFileMetadata": True,
            }
        }
        for f in files
    ]
    number = (transaction_version(path, application) or 0) + 1
    info: Action = {
        "commitInfo": {"timestamp": at, "operation": "DELETE", "operationParameters": {}, "readVersion": base}
    }
    txn: Action = {"txn": {"appId": application, "version": number, "lastUpdated": at}}

    def check(checked: int, latest: int) -> None:
        for version in range(checked + 1, latest + 1):
            if gone & {a["remove"]["path"] for a in read_commit(path, version) if "remove" in a}:
                raise _TakenMeanwhile

    try:
        version, already = append_commit(path, application, number, encode([info, txn, *removes]), base, check)
    except _TakenMeanwhile:
        return False
    checkpoint(path, version)
    return not already


class _TakenMeanwhile(Exception):
    """Somebody else took one of the files out."""
