"""The data files of a table themselves: handed on one by one, as a stream's landing, or asked for one column."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.delta import store
from lakehouse.delta.commit import append_commit, checkpoint
from lakehouse.delta.features import UnknownFeature
from lakehouse.delta.log import Action, encode, latest_version, read_commit, transaction_version
from lakehouse.delta.record import in_table, recorded
from lakehouse.delta.replay import active_files

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds


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


def numbers(path: str, column: str, within: tuple[int, int] | None = None) -> Iterator[pa.Array]:
    """The values of `column`, whole numbers, in the files of the table or branch at `path`; nulls may be among them.

    `within`: only those from the first to the second; files whose statistics have none of them are not opened.
    Raises what `files_in` raises, UnknownFeature for a partition's column or a file that is not the table's, and
    FileNotFoundError.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    branch, files = recorded(path), []
    for content in files_in(path):
        if column in content["partitionValues"]:
            raise UnknownFeature(f"{path}: files do not hold '{column}', which partitions it.", "Ask Spark for it.")
        if within is None or _reaches(content, column, *within):
            files.append({**content, "path": in_table(branch, content["path"])} if branch else content)
    rows = dataset_of(branch.table_path if branch else path, pa.schema([(column, pa.int64())]), files)
    test = (pc.field(column) >= within[0]) & (pc.field(column) <= within[1]) if within else None
    for batch in rows.to_batches(columns=[column], filter=test):
        yield batch.column(0)


def dataset_of(table: str, schema: pa.Schema, files: Iterable[Mapping[str, Any]]) -> ds.Dataset:
    """The columns `schema` of `files`, content of add or remove actions as the table's log spells their paths.

    Partition values, which no file holds, are columns as well. Opened by delta-rs's file system.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    system, parquet, fragments = store.arrow_filesystem(table), ds.ParquetFileFormat(), []
    for content in files:
        test = None
        for name, text in (content.get("partitionValues") or {}).items():
            if name not in schema.names:
                continue
            value = pa.scalar(text).cast(schema.field(name).type) if text is not None else None
            one = pc.field(name).is_null() if value is None else pc.field(name) == value
            test = one if test is None else test & one
        path = store.decoded(content["path"])
        fragments.append(parquet.make_fragment(path, filesystem=system, partition_expression=test))
    return ds.FileSystemDataset(fragments, schema, parquet, system)


def _reaches(content: Mapping[str, Any], column: str, low: int, high: int) -> bool:
    """Whether a file may have a value from `low` to `high`, by its statistics."""
    told = json.loads(content.get("stats") or "{}")
    first, last = (told.get(end, {}).get(column) for end in ("minValues", "maxValues"))
    return first is None or last is None or bool(last >= low and first <= high)


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
