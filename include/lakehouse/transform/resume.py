"""Versions resumed: of each affected key only what comes from its first changed moment on is built anew.

The version that held just before that moment is taken from the table; what is before it stays as it is. So a change
that comes in order costs what is new, however long the history, and a late one the history since its time. A key that
had no version then, being new or deleted, is built from all of its history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.sqltext import quote
from lakehouse.transform.keys import Affected, hold, ranges_of
from lakehouse.transform.scd2 import CHANGED, versions_sql

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def resumed(
    spark: SparkSession,
    contract: Contract,
    query: str,
    base: str,
    affected: Sequence[Affected],
    held: list[DataFrame],
) -> tuple[str, list[Affected]] | None:
    """The versions of `affected` keys from the one that holds before their first change on, and which rows of the
    table these replace; None where the keys are not all told with their moments.

    `query` gives the history, `base` is the table before, as Spark SQL names it.
    """
    scd2 = contract.scd2
    assert scd2
    key = scd2.key
    if (
        # What a version carries may come from a change that is gone: its rows have to be looked at again.
        scd2.carried
        or len(affected) != 1
        or set(affected[0].columns) != set(key)
        or not {*key, "valid_from"} <= set(affected[0].ranges)
    ):
        return None
    state = [quote(name) for name in ("valid_from", *scd2.tracked)]
    names = [quote(name) for name in key]
    if _types(spark, query, [*names, *state]) != _types(spark, f"SELECT * FROM {base}", [*names, *state]):
        return None  # equal states may differ once they are cast, and the other way round
    (changed,) = affected
    types = {column.name: column.type for column in contract.columns}
    first = changed.ranges["valid_from"][0]
    keys = {name: bounds for name, bounds in changed.ranges.items() if name in key}
    later = Affected(key, changed.view, {**keys, "valid_to": (first, "")})
    on = " AND ".join([*(f"d.{n} = a.{n}" for n in names), f"d.{CHANGED} < a._low AND d.valid_to >= a._low"])
    own, theirs = ", ".join(f"a.{n}" for n in names), ", ".join(f"d.{n}" for n in (CHANGED, *state))
    # The few versions of these keys first: the table as a whole would be sorted for an outer join.
    known = (
        f"SELECT {own}, a._low AS _since, {theirs} FROM {changed.view} AS a "
        f"LEFT JOIN ({later.of(f'(SELECT * FROM {base})', 'r.*', types)}) AS d ON {on}"
    )
    hold(spark.sql(known), "known", held)
    spark.sql("SELECT * FROM known WHERE valid_from IS NOT NULL").createOrReplaceTempView("going_on")
    spark.sql(f"SELECT {', '.join(names)} FROM known WHERE valid_from IS NULL").createOrReplaceTempView("anew")
    of_each = {name: (quote(name), quote(name)) for name in key}
    ranges = ranges_of(spark, {"going_on": of_each, "anew": of_each})
    columns, parts, replaced = ", ".join([*names, *state, "_deleted", "_sequence"]), [], []
    if "going_on" in ranges:
        since = {**ranges["going_on"], "valid_from": (first, "")}
        new = Affected(key, "going_on", since, "r.valid_from >= a._since").of(f"({query})", columns, types)
        parts += [f"SELECT *, CAST(NULL AS TIMESTAMP) AS _resumed FROM ({new})"]
        parts += [f"SELECT {', '.join([*names, CHANGED, *state[1:]])}, FALSE, NULL, valid_from FROM going_on"]
        until = {**ranges["going_on"], "valid_to": (first, "")}
        replaced.append(Affected(key, "going_on", until, "r.valid_from >= a.valid_from"))
    if "anew" in ranges:
        whole = Affected(key, "anew", ranges["anew"])
        parts.append(f"SELECT *, CAST(NULL AS TIMESTAMP) AS _resumed FROM ({whole.of(f'({query})', columns, types)})")
        replaced.append(whole)
    members = replace(scd2, unknown_member={})  # the unknown member is there since the first load
    return versions_sql(contract, members, f"({' UNION ALL '.join(parts)})", resumed=True), replaced


def _types(spark: SparkSession, query: str, names: Sequence[str]) -> list[str]:
    return [field.dataType.simpleString() for field in spark.sql(query).selectExpr(*names).schema.fields]
