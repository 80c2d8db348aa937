"""What the footers of a branch's own Parquet files say, told by its log as the statistics of its files.

Whoever writes Parquet counts nulls and keeps bounds anyway: for Delta's writer to look at every value again costs more
than a tenth of a write. So Spark appends without statistics (`UNTOLD`), and they are read from the footers (`tell`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from lakehouse.delta import store
from lakehouse.delta.log import Action, checksum_file, commit_file, encode, kind_of, latest_version, read_commit
from lakehouse.delta.record import Branch, BranchRefused
from lakehouse.delta.replay import active_files
from lakehouse.delta.spec import checksum

#: The setting of a session whose writes get no statistics of Delta's: `tell` of them afterwards.
UNTOLD = {"spark.databricks.delta.stats.collect": "false"}
#: The columns a table's files tell of: names, those in backticks with backticks doubled.
_TOLD, _NAME = "delta.dataSkippingStatsColumns", re.compile(r"`((?:[^`]|``)+)`|([^,`\s]+)")
#: Characters of a text's bounds, as Delta has them; after a longer one comes the greatest character there is.
_PREFIX, _LAST = 32, "\U0010ffff"
#: Kinds of actions that a checksum file of ours tells of, and those it need not.
_SUMMED = {"protocol", "metaData", "add", "remove", "commitInfo"}
_EPOCH = date(1970, 1, 1).toordinal()
_INTEGERS = ("byte", "short", "integer", "long")
#: What Parquet calls them, and other kinds. Others may be written otherwise, times in nanoseconds for one.
_NUMBERS = ("NONE", "INT_8", "INT_16", "INT_32", "INT_64")
_WRITTEN = {"date": "DATE", "timestamp": "TIMESTAMP_MICROS", "string": "UTF8"}


def tell(branch: Branch) -> int:
    """Commit to the branch what its files without statistics say of the columns that its table tells of; their rows.

    In: files as Spark writes them, with columns under their own names. Exact as the footer is: numbers of rows and
    nulls, bounds of numbers and dates; times are cut to milliseconds and text to its beginning, as Delta does. Of what
    a footer does not tell, nothing is said. Raises BranchRefused where somebody else commits to the branch.
    """
    latest = latest_version(branch.path)
    there = active_files(branch.path, latest)
    told = [add for add in there if add.get("stats")]
    if len(told) == len(there):
        return 0
    newest = {kind_of(a): a[kind_of(a)] for n in range(latest + 1) for a in read_commit(branch.path, n)}
    table = newest["metaData"]
    names = _NAME.findall(table["configuration"].get(_TOLD, ""))
    named = {(quoted or bare).replace("``", "`") for quoted, bare in names}
    fields = json.loads(table["schemaString"])["fields"]
    kinds = {field["name"]: field["type"] for field in fields if field["name"] in named}
    files, rows = store.arrow_filesystem(branch.path), 0
    at = int(datetime.now(UTC).timestamp() * 1000)
    actions: list[Action] = [{"commitInfo": {"timestamp": at, "operation": "COMPUTE STATS"}}]
    for add in (add for add in there if not add.get("stats")):
        count, stats = _statistics(files, store.decoded(add["path"]), kinds)
        rows += count
        if count:
            told.append({**add, "dataChange": False, "stats": stats})
            actions.append({"add": told[-1]})
        else:
            # A job without rows leaves a file without rows; Delta's writer, where it looks, does not commit it.
            kept = {name: add[name] for name in ("path", "partitionValues", "size")}
            actions.append(
                {"remove": {**kept, "deletionTimestamp": at, "dataChange": False, "extendedFileMetadata": True}}
            )
    version = latest + 1
    if not store.put_if_absent(commit_file(branch.path, version), encode(actions)):
        raise BranchRefused(f"Somebody else works on {branch.path}.", "Work again on a new branch.")
    # Two jobs of Spark less for the next to read it. It would say that there are no transactions, and the like.
    if newest.keys() <= _SUMMED:
        store.replace(checksum_file(branch.path, version), checksum(newest["protocol"], table, told))
    return rows


def _statistics(files: Any, path: str, kinds: Mapping[str, Any]) -> tuple[int, str]:
    """Rows of one file, and its statistics as an add action has them. `kinds` are Delta's types by column."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(files.open_input_file(path)) as file:
        footer = file.metadata
    columns = [footer.schema.column(n) for n in range(footer.num_columns)]
    # Not what is inside of a column.
    places = {
        one.path: n for n, one in enumerate(columns) if not one.max_repetition_level and one.max_definition_level < 2
    }
    # Days before 1582 as other calendars count them.
    julian = any(key.startswith(b"org.apache.spark.legacy") for key in footer.metadata or {})
    found: dict[str, dict[str, str]] = {"minValues": {}, "maxValues": {}, "nullCount": {}}
    for name, kind in kinds.items():
        if name not in places:
            continue
        kept = [footer.row_group(n).column(places[name]).statistics for n in range(footer.num_row_groups)]
        if any(one is None or not one.has_null_count for one in kept):
            continue
        found["nullCount"][name] = str(sum(one.null_count for one in kept))
        full = [one for one in kept if one.num_values]
        if not full or not all(one.has_min_max for one in full) or not _means(columns[places[name]], kind, julian):
            continue
        low = _json(min(_kept(one.min_raw, kind) for one in full), kind)
        high = _json(max(_kept(one.max_raw, kind) for one in full), kind, upper=True)
        if low is not None and high is not None:
            found["minValues"][name], found["maxValues"][name] = low, high
    parts = [f'"numRecords":{footer.num_rows}']
    for told, values in found.items():
        inside = ",".join(f"{json.dumps(name)}:{text}" for name, text in values.items())
        parts.append(f'"{told}":{{{inside}}}')
    return footer.num_rows, "{" + ",".join(parts) + "}"


def _means(column: Any, kind: Any, julian: bool) -> bool:
    """Whether a column of Parquet has values of `kind` as `_json` reads them."""
    if kind in _INTEGERS:
        return bool(column.physical_type in ("INT32", "INT64") and column.converted_type in _NUMBERS)
    if isinstance(kind, str) and kind.startswith("decimal("):
        return bool(column.converted_type == "DECIMAL" and column.scale == _scale(kind))
    return bool(column.converted_type == _WRITTEN.get(str(kind)) and not (julian and kind != "string"))


def _scale(kind: str) -> int:
    return int(kind.rstrip(")").partition(",")[2])


def _kept(raw: Any, kind: Any) -> Any:
    """A bound of a footer as what can be compared: long decimals are bytes, whose order is not theirs."""
    return int.from_bytes(raw, "big", signed=True) if isinstance(raw, bytes) and kind != "string" else raw


def _json(bound: Any, kind: Any, upper: bool = False) -> str | None:
    """A bound, see `_kept`, in Delta's JSON; None for one that is not told.

    Bounds of floating point numbers leave NaN out, which Spark takes for the greatest of all: they are not told.
    """
    if kind in _INTEGERS:
        return str(bound)
    if kind == "string":
        try:
            text = bound.decode()
        except UnicodeDecodeError:
            return None
        whole = len(text) <= _PREFIX or not upper
        return json.dumps(text[:_PREFIX] if whole else text[:_PREFIX] + _LAST) if _LAST not in text else None
    if isinstance(kind, str) and kind.startswith("decimal("):
        # Read from text: arithmetic would round to 28 digits.
        return format(Decimal(f"{bound}E-{_scale(kind)}"), "f")
    try:
        if kind == "date":
            return f'"{date.fromordinal(_EPOCH + bound)}"'
        if kind == "timestamp":
            return f'"{(datetime(1970, 1, 1) + timedelta(microseconds=bound)).isoformat(timespec="milliseconds")}Z"'
    except (ValueError, OverflowError):
        # Spark's calendar goes further than Python's.
        pass
    return None
