"""What a contract says, as frozen values. Built by `lakehouse.contracts.parse` only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from lakehouse.contracts.layout import Layout
from lakehouse.contracts.sql import tables_read

Severity = Literal["critical", "warning"]
Disposition = Literal["quarantine", "warn", "fail"]
Strategy = Literal["append", "merge", "scd2"]
SchemaPolicy = Literal["keep", "evolve", "freeze", "discard_value", "discard_row"]

Kind = Literal[
    "not_null", "one_of", "pattern", "range", "length", "row", "unique", "reference", "row_count", "sql", "source"
]

#: Kinds of source that hand over whole deliveries.
WHOLE = ("files", "kafka")
#: Those that are asked for windows and may hand over what lies outside.
LOOSE = ("http",)
#: Those of them that are streamed into landing first, by a DAG of their own.
STREAMED = ("kafka",)


@dataclass(frozen=True)
class Rule:
    """One check, from the schema or from a quality entry.

    A row rule carries `predicate`, Spark SQL that is true for a good row; a table rule (unique, reference,
    row_count, sql) is checked over the whole would-be table, and source over what was landed. `params` say the rest:
    the operators that judge its number (none: no bad row), unit (rows, percent), compared_with_runs.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    severity: Severity = "critical"
    disposition: Disposition = "fail"
    predicate: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    line: int = 0

    @property
    def tables(self) -> tuple[str, ...]:
        """Other tables, layer.table, that the rule looks at."""
        if self.kind == "reference":
            return (str(self.params["table"]),)
        return tables_read(self.params["query"]) if self.kind == "sql" else ()


@dataclass(frozen=True)
class Column:
    """A column: `type` is a Spark SQL type, `source_name` its name in the source (default: the same)."""

    name: str
    type: str
    required: bool = False
    description: str = ""
    source_name: str = ""
    classification: str = ""
    #: How the extract protects the value before anything is written: tokenise, mask, or nothing.
    protect: str = ""
    #: Regular expression of the raw value (a protected column's token records whether it matched).
    pattern: str = ""
    #: Tables, layer.table, that the value may come from; the first that has one wins. () where it is not said.
    precedence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where a bronze table comes from. Durations are of the cursor's own clock."""

    connection: str
    kind: str
    object: str
    cursor: str
    initial_value: datetime
    lookback: timedelta
    #: Longest window of one extract slice; the first load goes in such chunks.
    chunk: timedelta
    watermark_key: str
    #: Whether a load without rows is an error, and one without a delivery (no file, no answer) (ING-7).
    empty_is_error: bool = False
    missing_is_error: bool = False
    #: What becomes of columns that the contract does not know (CON-1).
    schema_policy: SchemaPolicy = "keep"
    #: What this kind of source needs besides (see `lakehouse.contracts.source`).
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether it hands over whole deliveries, each once; otherwise it is asked for windows of its cursor."""
        return self.kind in WHOLE

    @property
    def loose(self) -> bool:
        """Whether it may hand over rows of any time."""
        return self.kind in (*WHOLE, *LOOSE)

    @property
    def streamed(self) -> bool:
        """Whether a stream lands its records before they are loaded."""
        return self.kind in STREAMED


@dataclass(frozen=True)
class Scd2:
    """How versions of a key are built. `opens_at` "" starts the first version at its own change.

    A version is a stretch in which `tracked` stay the same; of what is `carried` it has the last values of its time.
    """

    key: tuple[str, ...]
    tracked: tuple[str, ...]
    carried: tuple[str, ...]
    surrogate_key: str
    opens_at: str = ""
    unknown_member: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contract:
    """A table's contract. `name` is `layer.table`."""

    name: str
    layer: str
    table: str
    version: str
    description: str
    owner: str
    owner_email: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    partition_by: tuple[str, ...]
    rules: tuple[Rule, ...]
    strategy: Strategy
    #: Tables of one group are audited all, then published together. "" stands alone.
    publish_group: str
    source: Source | None
    scd2: Scd2 | None
    #: Input -> {its column: column of this table}: rows that a change of an input row touches, where the SQL does not
    #: tell. Empty: it does.
    affected_keys: Mapping[str, Mapping[str, str]]
    #: Share of a load's rows (0..1) above which quarantine becomes a failure (CON-2).
    quarantine_threshold: float
    sla: dict[str, Any]
    tags: tuple[str, ...]
    path: Path
    fingerprint: str
    #: How long after a run's start the table's gate is due; None: nobody waits.
    gate_deadline: timedelta | None = None
    #: How OPTIMIZE lays the table's rows into files.
    layout: Layout = field(default_factory=Layout)
    #: How long after its first attempt a load is published; None: as long as the configuration allows all tables.
    latency: timedelta | None = None
    #: How long the landing files of a published load are kept; None: as long as usual.
    landing_retention: timedelta | None = None
    #: Whether the table goes to the warehouse (see `lakehouse.warehouse`).
    warehouse: bool = False

    def column(self, name: str) -> Column:
        """The column called `name`. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")

    @property
    def row_rules(self) -> tuple[Rule, ...]:
        """Rules that one row alone can break; some bear a few such rows."""
        return tuple(rule for rule in self.rules if rule.predicate)
