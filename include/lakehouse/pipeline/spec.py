"""The Delta table that a contract asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.repeats import WHOLE
from lakehouse.sqltext import quote
from lakehouse.transform.apply import operational

if TYPE_CHECKING:
    from lakehouse.delta import TableSpec

BRONZE_OPERATIONAL = (
    ("_ingest_ts", "TIMESTAMP"),
    ("_batch_id", "STRING"),
    ("_source_system", "STRING"),
    ("_run_date", "DATE"),
    ("_extra", "STRING"),
    ("_row_hash", "BIGINT"),
)

#: Types of which files always have statistics, DECIMAL besides: they are cheap to keep.
_ORDERED = (*WHOLE, "FLOAT", "DOUBLE", "DATE", "TIMESTAMP")
#: Kinds of rules that statistics answer, or that rows are found by.
_ASKED = ("not_null", "unique", "reference")
#: Operational columns that rows are looked for by.
_STAMPS = ("_ingest_ts", "_run_date")


def table_spec(contract: Contract, grown: Mapping[str, str] | None = None) -> TableSpec:
    """The Delta table a contract asks for, operational columns included; `grown` are columns it has beyond."""
    from lakehouse.delta import DEFAULT_PROPERTIES, ColumnSpec, TableSpec

    columns = [ColumnSpec(c.name, c.type, comment=c.description) for c in contract.columns]
    stamps = BRONZE_OPERATIONAL if contract.source else operational(contract)
    columns += [ColumnSpec(name, kind) for name, kind in (*stamps, *(grown or {}).items())]
    told = ",".join(quote(name) for name in _told(contract, dict(stamps)))
    properties = {**DEFAULT_PROPERTIES, "delta.dataSkippingStatsColumns": told}
    return TableSpec(tuple(columns), partition_by=contract.partition_by, properties=properties)


def _told(contract: Contract, operational: Mapping[str, str]) -> list[str]:
    """The columns that files tell bounds and nulls of: statistics of all would cost a third of what writing does.

    Text is among them only where rows are found by it, or its nulls are asked for: its bounds exclude nothing where
    rows are in another order.
    """
    asked = {name for rule in contract.rules if rule.kind in _ASKED for name in rule.columns}
    asked |= {*contract.primary_key, *contract.layout.zorder_by}
    if contract.source:
        asked.add(contract.source.cursor)
    kinds = {column.name: column.type for column in contract.columns if column.name not in contract.partition_by}
    found = [n for n, kind in kinds.items() if _ordered(kind) or (kind == "STRING" and n in asked)]
    return found + [name for name in _STAMPS if name in operational]


def _ordered(kind: str) -> bool:
    return kind in _ORDERED or kind.startswith("DECIMAL(")
