"""Increments: a table's SQL computed for the keys that changed inputs touch, or the reason why it has to be in full.

Planned from logs and SQL alone, then worked out by Spark: the changes of each input since the version that the last
publish consumed become affected keys; only rows with these keys are computed, merged or deleted (DESIGN, rule MOD-1
holds either way).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.contracts.model import Contract
from lakehouse.ledger.events import Event
from lakehouse.sqltext import literal, quote
from lakehouse.transform.affected import Handle, handles
from lakehouse.transform.inputs import Input
from lakehouse.transform.sql import TransformSql

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Increment:
    """What changed since the last publish, and how it reaches the table. `handles` are those of changed inputs."""

    handles: tuple[Handle, ...]
    #: Input -> (path, first version, last version) of each stretch of its change feed.
    feeds: Mapping[str, Sequence[tuple[str, int, int]]]


def plan(
    contract: Contract,
    transform: TransformSql,
    inputs: Mapping[str, Input],
    last: Event | None,
    latest: int,
    from_bytes: int,
    restated: bool = False,
) -> Increment | str:
    """The increment that brings the table, `latest` its version now, up to `inputs`; or why it is computed in full.

    `last` is its last publish; inputs that are smaller than `from_bytes` together are cheaper to read in full.
    `restated`: keys of a range are computed too, whatever their SQL was and however small the inputs are.
    """
    from lakehouse.delta import changed_since, feed_problem, table_stats

    if last is None or latest < 0 or last.version < 0:
        return "it is the first load"
    if not restated and (last.contract, last.sql) != (contract.fingerprint, transform.fingerprint):
        return "its contract or SQL changed"
    if changed_since(paths.table(contract.name), last.version, latest):
        return "rows were changed after its last publish"
    size = sum(table_stats(source.published).bytes for source in inputs.values())
    if not restated and size < from_bytes:
        return f"its inputs are small ({size:,} bytes)"
    found = declared(contract) or derived(contract, transform, inputs)
    if found is None:
        return "its SQL does not say which keys a change touches; declare them as affectedKeys"
    feeds = {}
    for name, source in inputs.items():
        if name not in last.consumed:
            return f"{name} was not read before"
        feeds[name] = source.feeds(last.consumed[name])
        for path, low, high in feeds[name]:
            problem = feed_problem(path, low, high)
            if problem:
                return f"the changes of {name} are gone: {problem}"
    return Increment(tuple(h for h in found if restated or feeds[h.table]), {n: f for n, f in feeds.items() if f})


def declared(contract: Contract) -> list[Handle] | None:
    """The handles that the contract writes down."""
    return [Handle(table, tuple(sorted(pairs.items()))) for table, pairs in contract.affected_keys.items()] or None


def derived(contract: Contract, transform: TransformSql, inputs: Mapping[str, Input]) -> list[Handle] | None:
    """The handles that follow from the SQL, each by as few columns as will do; None where one input has none.

    Only columns that have the input's type in the table serve: others are cast on their way.
    """
    from lakehouse.delta import schema_columns

    schema = {name: {c.name: c.type for c in schema_columns(source.path)} for name, source in inputs.items()}
    found = handles(transform.tree, schema)
    if found is None:
        return None
    types = {column.name: column.type for column in contract.columns}
    key = set(natural_key(contract) if contract.scd2 else contract.primary_key)
    kept: list[Handle] = []
    for handle in found:
        same = [(i, o) for i, o in handle.pairs if types.get(o) == schema[handle.table].get(i)]
        chosen = [pair for pair in same if pair[1] in key] or ([] if contract.scd2 else same)
        if not chosen:
            return None
        kept.append(Handle(handle.table, tuple(chosen), handle.alters))
    return [h for h in kept if not any(_covers(other, h) for other in kept)]


def _covers(one: Handle, other: Handle) -> bool:
    """Whether `one` reaches whatever `other` does, by fewer columns."""
    return (one.table, one.alters) == (other.table, other.alters) and set(one.pairs) < set(other.pairs)


def by_key(contract: Contract, handle: Handle) -> bool:
    """Whether the rows it reaches are looked up in the table as it is, and computed by primary key.

    That can be where the input adds to rows and neither decides which there are nor alters what they are found by. It
    is worth while where they are found by other columns: those of the key go through joins and windows, down to the
    inputs' files.
    """
    columns = {output for _, output in handle.pairs}
    if contract.scd2 or handle.alters is None or columns <= set(contract.primary_key):
        return False
    return not handle.alters & {*columns, *contract.primary_key}


def natural_key(contract: Contract) -> tuple[str, ...]:
    """The business key of a versioned dimension."""
    assert contract.scd2
    machine = {contract.scd2.surrogate_key, "valid_from", "valid_to", "is_current", *contract.scd2.tracked}
    return tuple(column.name for column in contract.columns if column.name not in machine)


@dataclass(frozen=True)
class Affected:
    """Affected keys as Spark SQL: one view and, where none is null, the range of each column, which skips files."""

    #: Columns of the table, and of the view.
    columns: tuple[str, ...]
    view: str
    #: Column -> (lowest, highest) as text; a column with nulls among its keys has none.
    ranges: Mapping[str, tuple[str, str]]

    def within(self, alias: str, types: Mapping[str, str]) -> str:
        """Predicate with literals only: data files outside the ranges are not opened."""
        parts = [
            f"{alias}.{quote(c)} BETWEEN CAST({literal(low)} AS {types[c]}) AND CAST({literal(high)} AS {types[c]})"
            for c, (low, high) in self.ranges.items()
        ]
        return "(" + (" AND ".join(parts) or "TRUE") + ")"

    def of(self, relation: str, columns: str, types: Mapping[str, str]) -> str:
        """SELECT of `columns` of the rows of `relation` that are affected."""
        # Where no key is null, the plain comparison finds the same rows by a table of numbers.
        on = " AND ".join(f"r.{quote(c)} {'=' if c in self.ranges else '<=>'} a.{quote(c)}" for c in self.columns)
        return (
            f"SELECT {columns} FROM (SELECT * FROM {relation} AS r WHERE {self.within('r', types)}) AS r "
            f"LEFT SEMI JOIN {self.view} AS a ON {on}"
        )


#: Columns of the table -> frames of values in them.
_Keys = dict[tuple[str, ...], "list[DataFrame]"]


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
        into.setdefault(columns, []).extend(_changed(spark, handle, increment, restated))
    key = tuple(sorted(contract.primary_key))
    for affected in _measured(spark, found, "found", held):
        rows = affected.of(f"(SELECT * FROM {base})", ", ".join(f"r.{quote(c)}" for c in key), types)
        direct.setdefault(key, []).append(spark.sql(rows))
    return _measured(spark, direct, "affected", held), held


def _changed(
    spark: SparkSession, handle: Handle, increment: Increment, restated: Mapping[str, DataFrame]
) -> list[DataFrame]:
    """What the changed rows of an input hold, before and after, in the columns that rows are reached by."""
    inputs = {output: column for column, output in handle.pairs}
    columns = [f"{quote(inputs[output])} AS {quote(output)}" for output in sorted(inputs)]
    frames = [restated[handle.table].selectExpr(*columns)] if handle.table in restated else []
    for path, low, high in increment.feeds.get(handle.table, ()):
        feed = spark.read.format("delta").option("readChangeFeed", "true")
        frames.append(feed.option("startingVersion", low).option("endingVersion", high).load(path).selectExpr(*columns))
    return frames


def _measured(spark: SparkSession, keys: _Keys, name: str, held: list[DataFrame]) -> list[Affected]:
    """Views of the distinct keys, held in memory, and their ranges, by one job; none for columns without a key."""
    counts = []
    views = {columns: f"{name}_{number}" for number, (columns, frames) in enumerate(keys.items()) if frames}
    for columns, view in views.items():
        frame, *more = keys[columns]
        for other in more:
            frame = frame.unionAll(other)
        frame = frame.distinct().persist()
        frame.createOrReplaceTempView(view)
        held.append(frame)
        counts += [
            f"SELECT {literal(view)} AS view, {literal(c)} AS name, CAST(min({quote(c)}) AS STRING) AS low, "
            f"CAST(max({quote(c)}) AS STRING) AS high, count(*) AS keys, count({quote(c)}) AS known FROM {view}"
            for c in columns
        ]
    rows = spark.sql(" UNION ALL ".join(counts)).collect() if counts else []
    measured = []
    for columns, view in views.items():
        mine = [row for row in rows if row.view == view]
        if mine[0]["keys"]:
            ranges = {row.name: (row.low, row.high) for row in mine if row.known == row["keys"]}
            measured.append(Affected(columns, view, ranges))
    return measured
