"""The `scd2` custom property: how versions of a business key are built.

The property is read and checked here; the versions themselves are the transform machinery's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakehouse.clock import in_utc
from lakehouse.contracts.model import Column, Scd2

#: Columns that every versioned dimension has, and the type of each.
VALIDITY = {"valid_from": "TIMESTAMP", "valid_to": "TIMESTAMP", "is_current": "BOOLEAN"}
_REQUIRED = {"surrogateKey", "tracked"}
_OPTIONAL = {"key", "opensAt", "unknownMember"}

Complain = Callable[[str, str, str], None]


def read_scd2(value: Any, columns: list[Column], key: tuple[str, ...], complain: Complain) -> Scd2 | None:
    """`value` as an Scd2; `complain(entry, what, remedy)` is called for each fault, and None returned."""
    types = {column.name: column.type for column in columns}
    if not isinstance(value, dict):
        complain("", "scd2 is missing or not a mapping", "Give scd2: {surrogateKey, tracked: [columns]}.")
        return None
    faults: list[str] = []

    def fault(entry: str, what: str, remedy: str) -> None:
        faults.append(entry)
        complain(entry, what, remedy)

    for entry in sorted(_REQUIRED - set(value)):
        fault(entry, f"scd2.{entry} is missing", "Add it.")
    for entry in sorted(set(value) - _REQUIRED - _OPTIONAL):
        fault(entry, f"scd2.{entry} is unknown", f"Known: {', '.join(sorted(_REQUIRED | _OPTIONAL))}.")
    for name, wanted in VALIDITY.items():
        if types.get(name) != wanted:
            fault("", f"scd2 needs a column {name} of type {wanted}", "Add it to schema[0].properties.")
    surrogate, tracked = value.get("surrogateKey"), value.get("tracked")
    if surrogate is not None and (types.get(surrogate) != "BIGINT" or key != (surrogate,)):
        fault(
            "surrogateKey", f"surrogate key '{surrogate}' is not a BIGINT primary key", "Make it the only key column."
        )
    if tracked is not None and (not isinstance(tracked, list) or not tracked or set(map(str, tracked)) - set(types)):
        fault("tracked", "scd2.tracked does not list columns of this contract", "List the columns that open a version.")
    machine = {*VALIDITY, str(surrogate)}
    other = [name for name in types if name not in machine and name not in map(str, tracked or ())]
    own = value.get("key", other if len(other) == 1 else None)
    if own is None:
        fault("key", f"{', '.join(other) or 'no column'}: which of them is the key", "Add scd2.key: [columns].")
    elif not isinstance(own, list) or not own or set(map(str, own)) - set(other):
        fault("key", "scd2.key does not list columns that are not tracked", "List the columns of the business key.")
    unknown = value.get("unknownMember") or {}
    if not isinstance(unknown, dict) or set(unknown) - set(types):
        fault("unknownMember", "scd2.unknownMember names no column of this contract", "Map its columns to values.")
    if "opensAt" in value:
        try:
            in_utc(value["opensAt"])
        except ValueError as error:
            fault("opensAt", f"scd2.opensAt: {error}", "Write ISO 8601, e.g. 1900-01-01T00:00:00Z.")
    if faults or not isinstance(tracked, list) or not own:
        return None
    carried = tuple(name for name in other if name not in own)
    return Scd2(tuple(own), tuple(tracked), carried, str(surrogate), str(value.get("opensAt") or ""), dict(unknown))
