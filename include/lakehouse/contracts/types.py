"""Spark SQL types that a contract may use."""

from __future__ import annotations

import re

_SIMPLE = {
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "STRING",
    "BINARY",
    "DATE",
    "TIMESTAMP",
}
_DECIMAL = re.compile(r"^DECIMAL\((\d{1,2}),\s*(\d{1,2})\)$")


def type_problem(text: object) -> str:
    """Why `text` is no type a contract may use; "" when it is one."""
    if not isinstance(text, str) or not text:
        return "no physicalType"
    if text in _SIMPLE:
        return ""
    decimal = _DECIMAL.match(text)
    if decimal and int(decimal[2]) <= int(decimal[1]) <= 38:
        return ""
    array = re.match(r"^ARRAY<(.+)>$", text)
    if array:
        return type_problem(array[1])
    return f"physicalType '{text}' is unknown"
