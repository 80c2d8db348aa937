"""A table behind SQL as a feed: every window in slices of so many rows, none of which sees another's."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from lakehouse.contracts.model import Column, Contract, Source
from lakehouse.ingest.feed import Slice, stamp
from lakehouse.ingest.landing import known_columns
from lakehouse.ingest.sql import keyset
from lakehouse.ingest.sql.engine import Engine, SourceColumn, engine_of
from lakehouse.ingest.sql.faults import SourceColumnMissing, named
from lakehouse.ingest.sql.keyset import Bind, Span
from lakehouse.ingest.sql.statements import Parameters, Statement, column, moment, table
from lakehouse.ingest.sql.unload import Unload
from lakehouse.ingest.sql.values import decode, encode
from lakehouse.ledger.windows import Window, chunks, with_lookback

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of a slice where source.options.sliceRows does not say.
SLICE_ROWS = 500_000


def feed(contract: Contract, source: Source, connection: Any) -> SqlFeed:
    """The feed of a table in Snowflake or Redshift over an open DB-API `connection` of its client."""
    return SqlFeed(contract, source, connection, engine_of(source.kind))


@dataclass(frozen=True)
class _Shape:
    """The source's columns now, and which of them are what."""

    columns: tuple[SourceColumn, ...]
    #: {name in the source: column of the contract}
    known: dict[str, Column]
    cursor: SourceColumn
    keys: tuple[SourceColumn, ...]


class SqlFeed:
    """See `ingest.feed.Feed`. Errors of the client are raised as `faults.SourceFailed`."""

    def __init__(self, contract: Contract, source: Source, connection: Any, engine: Engine) -> None:
        """Nothing is asked yet."""
        self.contract, self.source, self.connection, self.engine = contract, source, connection, engine
        self.table = table(source.object)

    def deliveries(self) -> Sequence[str]:
        """None: a table is asked for windows."""
        return ()

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        """Slices of each window, the lookback below it included, and of the rows that no window can have.

        The latter, those without a cursor first of all, come with every load, once, so that quarantine sees them.
        """
        asked = with_lookback(windows, self.source.lookback)
        spans = [chunk for window in asked for chunk in chunks(window, self.source.chunk)]
        with named(self.engine, self.contract, self.source):
            found = [piece for low, high in spans for piece in self._slices(low, high)]
            return found + self._slices(None, None)

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """The rows of one slice: every column that the source has now."""
        with named(self.engine, self.contract, self.source):
            shape = self.shape
            # What is protected is text to begin with: its value must not turn up in a fault.
            names = {
                c.name: shape.known[c.name].name if c.name in shape.known else c.name
                for c in shape.columns
                if not (c.name in shape.known and shape.known[c.name].protect)
            }
            if "unload" in piece.spec:
                columns = self._unload.columns(shape.columns)
                query = self._query(piece, moment, self._unload.selected(shape.columns))
                yield from self._unload.batches(self.connection, query, piece.spec["unload"], columns, names)
                return
            bind = Parameters()
            query = self._query(piece, bind, [column(c.name) for c in shape.columns])
            yield from self.engine.batches(self.connection, self._said(query, bind), shape.columns, names)

    def figures(self, piece: Slice, columns: Sequence[str]) -> Sequence[Decimal]:
        """See `ingest.figures.Asked`; a column that the source has not sums to 0."""
        with named(self.engine, self.contract, self.source):
            names = {known.name: name for name, known in self.shape.known.items()}
            sums = [exp.Sum(this=column(names[name])) if name in names else exp.Null() for name in columns]
            ((*said,),) = self._ask(lambda bind: self._query(piece, bind, [exp.Count(this=exp.Star()), *sums]))
        return [Decimal(str(value or 0)) for value in said]

    @cached_property
    def shape(self) -> _Shape:
        """Looked up once a feed. Raises SourceColumnMissing without cursor or key: neither can be null for all rows."""
        probe = (
            exp.select("*")
            .from_(self.table)
            .where(exp.EQ(this=exp.Literal.number(1), expression=exp.Literal.number(0)))
        )
        columns = self.engine.describe(self.connection, self._said(probe, Parameters()))
        there = known_columns([c.name for c in columns], self.contract)
        by_name = {there[c.name].name: c for c in columns if c.name in there}
        needed = (self.source.cursor, *self.contract.primary_key)
        missing = [self.contract.column(name).source_name for name in needed if name not in by_name]
        if missing:
            raise SourceColumnMissing(
                f"{self.contract.name}: {self.source.object} has no column {', '.join(missing)}, its cursor or key.",
                f"Bring it back in the source, or name in {self.contract.path} the columns that took its place.",
            )
        keys = [by_name[name] for name in self.contract.primary_key if name != self.source.cursor]
        return _Shape(tuple(columns), there, by_name[self.source.cursor], tuple(keys))

    @cached_property
    def _unload(self) -> Unload:
        return Unload(self.engine, self.source)

    def _slices(self, low: datetime | None, high: datetime | None) -> list[Slice]:
        """Slices of (low, high], or of the rows that no window can have; none where there is no row."""
        name = f"{stamp(low)}-{stamp(high)}" if low and high else "without_cursor"
        spec = {"low": low.isoformat() if low else None, "high": high.isoformat() if high else None}
        span, order = self._span(low, high), self._order(low is not None)
        if "unload" in self.source.options:
            return [Slice(name, {**spec, "unload": uuid.uuid4().hex})]
        size = int(self.source.options.get("sliceRows", SLICE_ROWS))
        ((total,),) = self._ask(lambda bind: keyset.count(self.table, span, bind))
        edges: list[list[Any] | None] = []
        if total > size and order:
            rows = self._ask(lambda bind: keyset.points(self.table, span, order, size, total, bind))
            for point in map(encode, rows):
                # More rows than a slice has, of one cursor and key: they stay together.
                if not edges or edges[-1] != point:
                    edges.append(point)
        ranges = zip([None, *edges], [*edges, None], strict=True) if total else ()
        return [
            Slice(f"{name}-{number:06d}", {**spec, "after": after, "upto": upto})
            for number, (after, upto) in enumerate(ranges)
        ]

    def _query(self, piece: Slice, bind: Bind, selected: Sequence[exp.Expr]) -> exp.Select:
        low, high = (datetime.fromisoformat(text) if (text := piece.spec[end]) else None for end in ("low", "high"))
        after, upto = (decode(point) if (point := piece.spec.get(end)) else None for end in ("after", "upto"))
        inside = keyset.between(self._order(low is not None), after, upto, low is not None, bind)
        return exp.select(*selected).from_(self.table).where(self._span(low, high).where(bind), *inside)

    def _span(self, low: datetime | None, high: datetime | None) -> Span:
        """Bounds in the cursor's own terms: of moments without zone, UTC without saying so."""
        zone = UTC if getattr(self.shape.cursor.type, "tz", None) else None
        low, high = (end.astimezone(UTC).replace(tzinfo=zone) if end else None for end in (low, high))
        return Span(column(self.shape.cursor.name), low, high, zone)

    def _order(self, by_cursor: bool) -> list[exp.Expr]:
        import pyarrow as pa

        order: list[exp.Expr] = [column(key.name) for key in self.shape.keys]
        if by_cursor:
            cursor: exp.Expr = column(self.shape.cursor.name)
            if pa.types.is_timestamp(self.shape.cursor.type):
                cursor = self.engine.micros(cursor)
            order.insert(0, cursor)
        return order

    def _ask(self, query: Callable[[Bind], exp.Select]) -> list[tuple[Any, ...]]:
        bind = Parameters()
        return self.engine.rows(self.connection, self._said(query(bind), bind))

    def _said(self, query: exp.Select, bind: Parameters) -> Statement:
        return bind.statement(query, self.engine.dialect)
