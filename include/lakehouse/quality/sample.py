"""A few keys of the rows that break rules, for whoever looks for them. Keys that are personal data are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Column, Contract, Rule
from lakehouse.quality.measure import CANDIDATE, View, repeated_keys, unreferenced
from lakehouse.sqltext import literal, quote

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Rows a rule.
LIMIT = 5

#: Classifications whose values anybody may see. Columns without one are data of the business, not of people.
OPEN = ("", "public", "internal")


def samples(spark: SparkSession, contract: Contract, rules: Sequence[Rule], view: View) -> dict[str, tuple[str, ...]]:
    """{rule: up to LIMIT keys, each a JSON object {column: value}}, by one query that filters and stops early.

    Rules that count no rows, and tables whose keys nobody may see, have none.
    """
    queries = [query for rule in rules if (query := _query(contract, rule, view))]
    if not queries:
        return {}
    found: dict[str, list[str]] = {}
    for row in spark.sql(" UNION ALL ".join(f"({query})" for query in queries)).collect():
        found.setdefault(row["rule"], []).append(row["key"])
    return {rule: tuple(sorted(keys)) for rule, keys in found.items()}


def _query(contract: Contract, rule: Rule, view: View) -> str:
    keys = rule.columns if rule.kind == "unique" else contract.primary_key
    shown = [quote(name) for name in keys if _open(contract.column(name))]
    if not shown:
        return ""
    if rule.predicate:
        rows = f"{view(CANDIDATE)} WHERE NOT coalesce(({rule.predicate}\n), false)"
    elif rule.kind == "unique":
        rows = f"({repeated_keys(rule, view)})"
    elif rule.kind == "reference":
        rows, shown = unreferenced(contract, rule, view), [f"this.{name}" for name in shown]
    else:
        return ""
    # A key that is NULL would be left out of the object; a row without any key still is one.
    key = f"to_json(struct({', '.join(shown)}), map('ignoreNullFields', 'false'))"
    return f"SELECT {literal(rule.name)} AS rule, {key} AS key FROM {rows} LIMIT {LIMIT}"


def _open(column: Column) -> bool:
    return column.classification in OPEN and not column.protect
