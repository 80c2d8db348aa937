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
    kept = []
    for handle in found:
        same = [(i, o) for i, o in handle.pairs if types.get(o) == schema[handle.table].get(i)]
        chosen = [pair for pair in same if pair[1] in key] or ([] if contract.scd2 else same)
        if not chosen:
            return None
        kept.append(Handle(handle.table, tuple(chosen)))
    return kept


def natural_key(contract: Contract) -> tuple[str, ...]:
    """The business key of a versioned dimension."""
    assert contract.scd2
    machine = {contract.scd2.surrogate_key, "valid_from", "valid_to", "is_current", *contract.scd2.tracked}
    return tuple(column.name for column in contract.columns if column.name not in machine)


@dataclass(frozen=True)
class Affected:
    """Affected keys as Spark SQL: one view and, where it may be used to skip files, the range of each column."""

    handle: Handle
    view: str
    #: Output column -> (lowest, highest) as text; a column with nulls among its keys has none.
    ranges: Mapping[str, tuple[str, str]]

    def within(self, alias: str, types: Mapping[str, str]) -> str:
        """Predicate with literals only: data files outside the ranges are not opened."""
        parts = [
            f"{alias}.{quote(o)} BETWEEN CAST({literal(low)} AS {types[o]}) AND CAST({literal(high)} AS {types[o]})"
            for o, (low, high) in self.ranges.items()
        ]
        return "(" + (" AND ".join(parts) or "TRUE") + ")"

    def of(self, relation: str, columns: str, types: Mapping[str, str]) -> str:
        """SELECT of `columns` of the rows of `relation` that are affected."""
        on = " AND ".join(f"r.{quote(o)} <=> a.{quote(i)}" for i, o in self.handle.pairs)
        return (
            f"SELECT {columns} FROM (SELECT * FROM {relation} AS r WHERE {self.within('r', types)}) AS r "
            f"LEFT SEMI JOIN {self.view} AS a ON {on}"
        )


def work_out(
    spark: SparkSession, increment: Increment, restated: Mapping[str, DataFrame]
) -> tuple[list[Affected], list[DataFrame]]:
    """The affected keys of each handle that has any, and the frames held in memory for them: unpersist these.

    `restated` are rows of inputs that count as changed.
    """
    held: list[DataFrame] = []
    counts = []
    for number, handle in enumerate(increment.handles):
        columns = [quote(i) for i, _ in handle.pairs]
        keys = restated[handle.table].select(*columns) if handle.table in restated else None
        for path, low, high in increment.feeds.get(handle.table, ()):
            feed = spark.read.format("delta").option("readChangeFeed", "true")
            part = feed.option("startingVersion", low).option("endingVersion", high).load(path).select(*columns)
            keys = part if keys is None else keys.unionAll(part)
        assert keys is not None
        keys = keys.distinct().persist()
        keys.createOrReplaceTempView(f"affected_{number}")
        held.append(keys)
        counts += [
            f"SELECT {number} AS handle, {literal(o)} AS name, CAST(min({quote(i)}) AS STRING) AS low, "
            f"CAST(max({quote(i)}) AS STRING) AS high, count(*) AS keys, count({quote(i)}) AS known "
            f"FROM affected_{number}"
            for i, o in handle.pairs
        ]
    rows = spark.sql(" UNION ALL ".join(counts)).collect() if counts else []
    found = []
    for number, handle in enumerate(increment.handles):
        mine = [row for row in rows if row.handle == number]
        if mine[0]["keys"]:
            ranges = {row.name: (row.low, row.high) for row in mine if row.known == row["keys"]}
            found.append(Affected(handle, f"affected_{number}", ranges))
    return found, held
