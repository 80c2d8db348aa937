"""Columns on both sides: what of a table goes to the warehouse, and as which type."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "NUMBER(3,0)",
    "SMALLINT": "NUMBER(5,0)",
    "INT": "NUMBER(10,0)",
    "BIGINT": "NUMBER(19,0)",
    "FLOAT": "FLOAT",
    "DOUBLE": "FLOAT",
    "STRING": "VARCHAR",
    "BINARY": "BINARY",
    "DATE": "DATE",
    # An instant, shown in UTC whatever a reader's session says.
    "TIMESTAMP": "TIMESTAMP_TZ",
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
#: How INFORMATION_SCHEMA spells types that have other names there.
_SPELLED = {"VARCHAR": "TEXT"}


@dataclass(frozen=True)
class Target:
    """A column of the lake, `name` of Spark's `type`, and what it is in the warehouse."""

    name: str
    type: str

    @property
    def there(self) -> str:
        """Its name there: upper case, so that people need no quotes."""
        return self.name.upper()

    @property
    def type_there(self) -> str:
        """Its type there."""
        decimal = _DECIMAL.fullmatch(self.type)
        return f"NUMBER({decimal[1]},{decimal[2]})" if decimal else _TYPES[self.type]

    @property
    def spelled(self) -> str:
        """The type as INFORMATION_SCHEMA tells it."""
        return _SPELLED.get(self.type_there, self.type_there)

    @property
    def scale(self) -> int:
        """Digits after the point."""
        decimal = _DECIMAL.fullmatch(self.type)
        return int(decimal[2]) if decimal else 0

    @property
    def is_measure(self) -> bool:
        """Whether it adds up to the same sum in whatever order: exact numbers do, keys among them."""
        return self.type_there.startswith("NUMBER")


def targets(contract: Contract, lake: frozenset[str]) -> tuple[Target, ...]:
    """The contract's columns that the table has by now, in the contract's order. Operational columns stay here."""
    return tuple(Target(c.name, c.type) for c in contract.columns if c.name in lake)


def fingerprint(columns: tuple[Target, ...], key: tuple[str, ...]) -> str:
    """What has to be the same for rows published before to stay as they are."""
    return json.dumps({"columns": {c.there: c.type_there for c in columns}, "key": [name.upper() for name in key]})


def conveyed(values: pa.Array, column: Target) -> pa.Array:
    """`values` as the Parquet file holds them. Moments are text: Parquet's own would be cut, or shifted, on the way."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(values.type):
        utc = values.cast(pa.timestamp("us", tz="UTC"))
        return pc.strftime(utc, format="%Y-%m-%dT%H:%M:%SZ")
    if column.type == "STRING":
        return values.cast(pa.string())
    return values.cast(pa.binary()) if column.type == "BINARY" else values
