"""The `source` custom property of a bronze contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from lakehouse.contracts.model import Source
from lakehouse.contracts.properties import duration, moment

_REQUIRED = {"connection", "type", "object", "cursor", "initialValue"}
_OPTIONAL = {"lookback", "chunk", "watermarkKey", "emptyIsError"}

Complain = Callable[[str, str, str], None]


def read_source(value: Any, columns: set[str], complain: Complain) -> Source | None:
    """`value` as a Source; `complain(key, what, remedy)` is called for each fault, and None returned."""
    if not isinstance(value, dict):
        complain("", "source is not a mapping", f"Give {', '.join(sorted(_REQUIRED))}.")
        return None
    faults = 0
    for key in sorted(_REQUIRED - set(value)):
        complain(key, f"source.{key} is missing", "Add it.")
        faults += 1
    for key in sorted(set(value) - _REQUIRED - _OPTIONAL):
        complain(key, f"source.{key} is unknown", f"Known: {', '.join(sorted(_REQUIRED | _OPTIONAL))}.")
        faults += 1
    if value.get("cursor") is not None and value["cursor"] not in columns:
        complain("cursor", f"cursor '{value['cursor']}' is no column of this contract", "Name one of its columns.")
        faults += 1

    def parsed(key: str, reader: Callable[[object], Any], default: Any) -> Any:
        nonlocal faults
        if key not in value:
            return default
        try:
            return reader(value[key])
        except ValueError as error:
            complain(key, f"source.{key}: {error}", "Write ISO 8601, e.g. PT6H or 2025-09-01T00:00:00Z.")
            faults += 1
            return default

    initial = parsed("initialValue", moment, None)
    lookback = parsed("lookback", duration, timedelta(0))
    chunk = parsed("chunk", duration, timedelta(days=3650))
    if faults:
        return None
    return Source(
        connection=value["connection"],
        kind=value["type"],
        object=value["object"],
        cursor=value["cursor"],
        initial_value=initial,
        lookback=lookback,
        chunk=chunk,
        watermark_key=value.get("watermarkKey") or f"{value['connection']}_{value['object']}".lower().replace(".", "_"),
        empty_is_error=bool(value.get("emptyIsError", False)),
    )
