"""Rows that quarantine kept as JSON, made into landing files again: no source is asked.

A column gets the type that all its values have, as far as JSON tells it, so that today's contract casts them as it
would have cast what landed. Tokens and masks are as they were; a column that only today's contract protects is
protected now.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.contracts.model import Column, Contract
from lakehouse.ingest.feed import FAULT, RAW
from lakehouse.ingest.landing import EXTRA, KEPT, finish, forget, known_columns, write_slice
from lakehouse.ingest.protect import protect

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of one landing file.
ROWS = 50_000


class _Number(str):
    """A number as it is spelled: reading it as a float would lose digits."""


@dataclass
class _Group:
    """Rows that fit into one file, and its columns by their names in small letters."""

    names: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


def land_kept(contract: Contract, rows: Sequence[str], folder: str, key: bytes) -> None:
    """Write `rows` (each JSON as quarantine keeps it) to `folder`, which is emptied first; `key` is for new tokens."""
    forget(folder)
    for number, some in enumerate(_apart(rows)):
        batch = _batch(contract, [row for row, _ in some], [content for _, content in some], key)
        write_slice(iter([batch]), f"{folder}/kept-{number:05}.parquet")
    finish(folder)


def _apart(rows: Sequence[str]) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """The rows and their content, so many together as make a file.

    Of one file are no two names that differ by case alone: Spark takes them for one.
    """
    groups: list[_Group] = []
    for row in rows:
        content = json.loads(row, parse_int=_Number, parse_float=_Number)
        names = {name.lower(): name for name in content}
        group = next((g for g in groups if all(g.names.get(low, name) == name for low, name in names.items())), None)
        if group is None:
            groups.append(group := _Group())
        group.names |= names
        group.rows.append((row, content))
    for group in groups:
        yield from (group.rows[start : start + ROWS] for start in range(0, len(group.rows), ROWS))


def _batch(contract: Contract, rows: Sequence[str], read: Sequence[dict[str, Any]], key: bytes) -> pa.RecordBatch:
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in read for name in row))
    own = {column.name: column for column in contract.columns if column.name in names}
    # What the contract did not know when the row landed is there under its source's name.
    since = known_columns([n for n in names if n not in own], contract)
    arrays: dict[str, pa.Array] = {KEPT: pa.array(rows, pa.string())}
    for name in names:
        column = own.get(name) or since.get(name)
        values = _array([row.get(name) for row in read], column)
        if name in since and since[name].protect:
            values = protect(values, since[name], key)
        plain = name in (FAULT, RAW) or name.startswith(EXTRA)
        target = column.name if column else name if plain else EXTRA + name
        arrays.setdefault(target, values)
    for column in contract.columns:
        # JSON leaves nulls out; the source had the column.
        arrays.setdefault(column.name, pa.nulls(len(rows), pa.string()))
    return pa.RecordBatch.from_pydict(arrays)


def _array(values: list[Any], column: Column | None) -> pa.Array:
    """`values` of one column as Arrow, of the narrowest type that has them all; text where they are of several."""
    import pyarrow as pa

    there = [value for value in values if value is not None]
    wanted = column.type if column else ""
    if wanted == "BINARY" and all(isinstance(v, str) for v in there):
        return pa.array([None if v is None else _bytes(v) for v in values], pa.binary())
    if wanted != "STRING" and there:
        if all(isinstance(v, _Number) for v in there):
            return _numbers(values, there, wanted)
        if all(isinstance(v, bool) for v in there):
            return pa.array(values, pa.bool_())
        if all(isinstance(v, list) for v in there):
            texts = [None if v is None else [None if x is None else _text(x) for x in v] for v in values]
            return pa.array(texts, pa.list_(pa.string()))
    return pa.array([None if v is None else _text(v) for v in values], pa.string())


def _numbers(values: list[Any], there: list[_Number], wanted: str) -> pa.Array:
    """Integers; decimals where all have the same number of places, as a decimal column writes them; else doubles.

    Where decimals are wanted it is text instead of doubles, which have no more than 15 digits.
    """
    from decimal import Decimal

    import pyarrow as pa

    if all(re.fullmatch(r"-?\d+", v) and -(2**63) <= int(v) < 2**63 for v in there):
        return pa.array([None if v is None else int(v) for v in values], pa.int64())
    places = {len(v.partition(".")[2]) for v in there if re.fullmatch(r"-?\d+(\.\d+)?", v)}
    exact = len(places) == 1 and all(re.fullmatch(r"-?[\d.]+", v) and sum(map(str.isdigit, v)) <= 38 for v in there)
    if exact:
        return pa.array([None if v is None else Decimal(v) for v in values], pa.decimal128(38, places.pop()))
    if wanted.startswith("DECIMAL"):
        return pa.array([None if v is None else str(v) for v in values], pa.string())
    return pa.array([None if v is None else float(v) for v in values], pa.float64())


def _bytes(text: str) -> bytes:
    """JSON has bytes as base64."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return text.encode()


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    """As it was, numbers as they were spelled."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value)
