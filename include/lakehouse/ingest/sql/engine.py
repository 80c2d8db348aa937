"""What the SQL engines differ in: one object each, `ENGINE` of its module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from sqlglot import exp

from lakehouse.ingest.sql.statements import Statement

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class SourceColumn:
    """A column as the source has it now, and the Arrow type it is landed with, whatever values come."""

    name: str
    type: pa.DataType
    #: Whether values come as text that may be no value of `type` (infinity, NaN, a year that no calendar has).
    parsed: bool = False


class Engine(Protocol):
    """One kind of database."""

    #: sqlglot's name of its SQL.
    dialect: str

    def errors(self) -> type[Exception]:
        """The base of what its client raises."""

    def describe(self, connection: Any, probe: Statement) -> list[SourceColumn]:
        """Columns of `probe`, a query without rows. Prepares the session too: it is the first thing asked."""

    def rows(self, connection: Any, statement: Statement) -> list[tuple[Any, ...]]:
        """A small result whole, of values that `values.encode` knows."""

    def batches(
        self, connection: Any, statement: Statement, columns: Sequence[SourceColumn], names: Mapping[str, str]
    ) -> Iterator[pa.RecordBatch]:
        """A result as a stream, of the types of `columns`, which are its columns in order.

        `names` are those that a fault is told under, by name in the source; a column missing there is left as text.
        """

    def micros(self, cursor: exp.Expr) -> exp.Expr:
        """`cursor`, a moment, in whole microseconds: the precision it is landed with."""

    def moment_text(self, column: exp.Expr, zoned: bool) -> exp.Expr:
        """A moment as ISO 8601 text in UTC, to the microsecond: Parquet of the engine's own would cut or shift it."""


#: Module of each kind of source.
ENGINES = {"snowflake": "lakehouse.ingest.sql.snowflake", "redshift": "lakehouse.ingest.sql.redshift"}


def engine_of(kind: str) -> Engine:
    """The engine of sources of `kind`."""
    found: Engine = import_module(ENGINES[kind]).ENGINE
    return found
