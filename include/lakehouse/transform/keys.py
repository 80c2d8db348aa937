"""Affected keys, worked out by Spark from the change feeds of an increment's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.sqltext import literal, quote
from lakehouse.transform.increment import Increment, by_key
from lakehouse.transform.inputs import feed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.transform.affected import Handle
    from lakehouse.transform.spans import Span


@dataclass(frozen=True)
class Affected:
    """Which rows are affected, as Spark SQL: those that meet a row of a view, and literals that skip files."""

    #: Columns of the table, and of the view.
    columns: tuple[str, ...]
    view: str
    #: Column of the table -> (lowest, highest) as text, "" where open. A key's column without one has nulls.
    ranges: Mapping[str, tuple[str, str]]
    #: What else has to hold of a row r of the table and a row a of the view.
    also: str = ""

    def at_all_times(self) -> Affected:
        """All rows with these keys."""
        return Affected(self.columns, self.view, {n: bounds for n, bounds in self.ranges.items() if n in self.columns})

    def within(self, alias: str, types: Mapping[str, str]) -> str:
        """Predicate with literals only: data files outside the ranges are not opened."""
        parts = [
            f"{alias}.{quote(column)} {sign} CAST({literal(bound)} AS {types[column]})"
            for column, bounds in self.ranges.items()
            for sign, bound in zip((">=", "<="), bounds, strict=True)
            if bound
        ]
        return "(" + (" AND ".join(parts) or "TRUE") + ")"

    def of(self, relation: str, columns: str, types: Mapping[str, str]) -> str:
        """SELECT of `columns` of the rows of `relation` that are affected."""
        # Where no key is null, the plain comparison finds the same rows by a table of numbers.
        on = [f"r.{quote(c)} {'=' if c in self.ranges else '<=>'} a.{quote(c)}" for c in self.columns]
        on += [self.also] if self.also else []
        return (
            f"SELECT {columns} FROM (SELECT * FROM {relation} AS r WHERE {self.within('r', types)}) AS r "
            f"LEFT SEMI JOIN {self.view} AS a ON {' AND '.join(on)}"
        )


#: (columns of the table, the column of a span or "") -> frames of them, with `_low` and `_high` of the span.
_Keys = dict[tuple[tuple[str, ...], str], "list[DataFrame]"]


def work_out(
    spark: SparkSession, contract: Contract, base: str, increment: Increment, restated: Mapping[str, DataFrame]
) -> tuple[list[Affected], list[DataFrame]]:
    """The affected keys, by the columns they are of, and the frames held in memory for them: unpersist these.

    `base` is the table before the increment, as Spark SQL names it. `restated` are rows of inputs that count as
    changed.
    """
    held: list[DataFrame] = []
    types = {column.name: column.type for column in contract.columns}
    direct: _Keys = {}
    found: _Keys = {}
    for handle in increment.handles:
        columns = tuple(sorted({output for _, output in handle.pairs}))
        into = found if by_key(contract, handle) else direct
        span = handle.span.output if handle.span else ""
        into.setdefault((columns, span), []).extend(_changed(spark, handle, increment, restated))
    key = tuple(sorted(contract.primary_key))
    for affected in _measured(spark, found, "found", held):
        rows = affected.of(f"(SELECT * FROM {base})", ", ".join(f"r.{quote(c)}" for c in key), types)
        direct.setdefault((key, ""), []).append(spark.sql(rows))
    return _measured(spark, direct, "affected", held), held


def _changed(
    spark: SparkSession, handle: Handle, increment: Increment, restated: Mapping[str, DataFrame]
) -> list[DataFrame]:
    """What the changed rows of an input hold, before and after, in the columns that rows are reached by, and `_low`
    and `_high` of the handle's span."""
    inputs = {output: column for column, output in handle.pairs}
    columns = [f"{quote(inputs[output])} AS {quote(output)}" for output in sorted(inputs)]
    span = handle.span
    bounds = [f"{quote(span.low)} AS _low", f"{quote(span.high)} AS _high"] if span else []
    if span and span.low == span.high:
        # Without a time: as if it were of all times.
        bounds = [f"coalesce({quote(span.low)}, TIMESTAMP'0001-01-01') AS {name}" for name in ("_low", "_high")]
    frames = [restated[handle.table].selectExpr(*columns, *bounds)] if handle.table in restated else []
    feeds = [feed(spark, stretch) for stretch in increment.feeds.get(handle.table, ())]
    if span and span.looked_at and feeds:
        return [*frames, _differing(feeds, span, sorted({*span.looked_at, *inputs.values()}), columns)]
    return frames + [told.selectExpr(*columns, *bounds) for told in feeds]


def _differing(feeds: list[DataFrame], span: Span, looked_at: list[str], columns: list[str]) -> DataFrame:
    """`columns`, `_low` and `_high` of rows that differ in what is looked at, after all changes.

    Of rows that differ in their upper bound alone, only what lies between the old one and the new one is reached: so
    a version that was closed at some time does not reach back to its beginning.
    """
    from pyspark.sql import functions as F

    low, high, rest = quote(span.low), quote(span.high), [quote(c) for c in looked_at if c != span.high]
    told = [one.selectExpr(*rest, high, "_change_type") for one in feeds]
    rows = reduce(lambda one, other: one.unionAll(other), told).where(f"{low} IS NOT NULL AND {high} IS NOT NULL")
    sign = F.expr("sum(IF(_change_type IN ('insert', 'update_postimage'), 1, -1)) AS _more")
    net = rows.groupBy(*[F.col(c) for c in (*rest, high)]).agg(sign).where("_more <> 0")
    sums = F.expr("sum(_more) AS _sum"), F.expr(f"min({high}) AS _least"), F.expr(f"max({high}) AS _high")
    moved = net.groupBy(*[F.col(c) for c in rest]).agg(*sums)
    return moved.selectExpr(*columns, f"IF(_sum = 0, _least, {low}) AS _low", "_high")


def _measured(spark: SparkSession, keys: _Keys, name: str, held: list[DataFrame]) -> list[Affected]:
    """Views of the distinct keys, held in memory, and their ranges, by one job; none for columns without a key."""
    from pyspark.sql import functions as F

    views, ends = {}, {}
    for number, ((columns, span), frames) in enumerate(keys.items()):
        if not frames:
            continue
        frame, view = reduce(lambda one, other: one.unionAll(other), frames), f"{name}_{number}"
        ends[view] = {column: (quote(column), quote(column)) for column in columns}
        if span:
            ends[view][span] = ("_low", "_high")
            by = [F.col(quote(column)) for column in columns]
            frame = frame.groupBy(*by).agg(F.expr("min(_low) AS _low"), F.expr("max(_high) AS _high"))
        else:
            frame = frame.distinct()
        hold(frame, view, held)
        views[view] = (columns, span)
    measured = []
    for view, ranges in ranges_of(spark, ends).items():
        columns, span = views[view]
        also = f"r.{quote(span)} BETWEEN a._low AND a._high" if span in ranges else ""
        measured.append(Affected(columns, view, ranges, also))
    return measured


def hold(frame: DataFrame, view: str, held: list[DataFrame]) -> None:
    """Keep `frame` in memory as the view `view`, until whoever has `held` lets it go."""
    held.append(frame.persist())
    held[-1].createOrReplaceTempView(view)


def ranges_of(
    spark: SparkSession, views: Mapping[str, Mapping[str, tuple[str, str]]]
) -> dict[str, dict[str, tuple[str, str]]]:
    """{view: {name: (lowest, highest)}} as text, for {view: {name: (low, high)}}, columns of it: no view without rows,
    no name that is null in some row."""
    counts = [
        f"SELECT {literal(view)} AS view, {literal(name)} AS name, CAST(min({low}) AS STRING) AS low, "
        f"CAST(max({high}) AS STRING) AS high, count(*) AS rows, least(count({low}), count({high})) AS known "
        f"FROM {view}"
        for view, names in views.items()
        for name, (low, high) in names.items()
    ]
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for row in spark.sql(" UNION ALL ".join(counts)).collect() if counts else []:
        if row["rows"]:
            ranges = found.setdefault(row["view"], {})
            if row["known"] == row["rows"]:
                ranges[row["name"]] = (row["low"], row["high"])
    return found
