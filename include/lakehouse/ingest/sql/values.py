"""Points of a keyset as JSON, for the plan of slices that outlives the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_NAMED: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    # A datetime is a date too: it comes first.
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "date": (date, date.isoformat, date.fromisoformat),
    "decimal": (Decimal, str, Decimal),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
    "float": (float, float.hex, float.fromhex),
}


def encode(point: Sequence[Any]) -> list[Any]:
    """`point` JSON-ready. What JSON has no word for goes as {kind: text}, and what is no kind known here as text."""
    return [_encode(value) for value in point]


def decode(point: Sequence[Any]) -> list[Any]:
    """The inverse of `encode`."""
    return [_decode(value) for value in point]


def _encode(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    for name, (kind, written, _) in _NAMED.items():
        if isinstance(value, kind):
            return {name: written(value)}
    return str(value)


def _decode(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((name, text),) = value.items()
    return _NAMED[name][2](text)
