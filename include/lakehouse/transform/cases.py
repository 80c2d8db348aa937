"""Cases of a computed table: given rows of its inputs, the rows its SQL must give (`cases/*.yaml` in its folder).

given: {layer.table: [{column: value}]}, columns left out are null; expected: [{column: value}], in any order, each row
compared by the columns it names. Run by Spark, over views: nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lakehouse.contracts.model import Contract
from lakehouse.errors import LakehouseError
from lakehouse.sqltext import literal, quote
from lakehouse.transform.scd2 import versions_sql
from lakehouse.transform.sql import parse_transform

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class CaseBroken(LakehouseError):
    """A case file that cannot be used."""


@dataclass(frozen=True)
class Case:
    """One given/expected pair."""

    path: Path
    given: Mapping[str, list[dict[str, Any]]]
    expected: list[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What a case gave: rows it lacks and rows nobody expected, by the columns expected."""

    case: Case
    missing: list[dict[str, Any]]
    surplus: list[dict[str, Any]]

    @property
    def passed(self) -> bool:
        """Whether the SQL gave what was expected."""
        return not self.missing and not self.surplus


def cases(contract: Contract) -> Iterator[Case]:
    """The cases in the table's folder. Raises CaseBroken naming the file."""
    for path in sorted((contract.path.parent / "cases").glob("*.yaml")):
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8"))
            given, expected = dict(raw["given"]), list(raw["expected"])
            columns = {tuple(row) for row in expected}
        except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
            raise CaseBroken(f"{path}: no case: {error}.", "Write given: {table: rows} and expected: rows.") from error
        if len(columns) > 1:
            raise CaseBroken(f"{path}: the expected rows name different columns.", "Name the same in each, in order.")
        yield Case(path, given, expected)


def run(spark: SparkSession, contract: Contract, case: Case, inputs: Mapping[str, Mapping[str, str]]) -> Outcome:
    """Run the table's SQL over the case's rows. `inputs` are {layer.table: {column: Spark type}} of what it reads."""
    views = {}
    for table, columns in inputs.items():
        views[table] = f"given_{table.replace('.', '__')}"
        spark.sql(_rows(case, case.given.get(table) or [], columns)).createOrReplaceTempView(views[table])
    query = parse_transform(contract.path.parent).over(views)
    if contract.scd2:
        query = versions_sql(contract, contract.scd2, f"({query})")
    types = {column.name: column.type for column in contract.columns}
    names = list(case.expected[0]) if case.expected else list(types)
    shown = ", ".join(f"CAST({quote(name)} AS {types.get(name, 'STRING')}) AS {quote(name)}" for name in names)
    wanted = _rows(case, case.expected, {name: types.get(name, "STRING") for name in names})
    given, expected = f"(SELECT {shown} FROM ({query}))", f"({wanted})"
    found = spark.sql(
        f"SELECT true AS _missing, * FROM ({expected} EXCEPT ALL {given}) "
        f"UNION ALL SELECT false, * FROM ({given} EXCEPT ALL {expected})"
    ).collect()
    rows = [row.asDict() for row in found]
    missing, surplus = ([r for r in rows if r["_missing"] is kind] for kind in (True, False))
    return Outcome(case, [_plain(row) for row in missing], [_plain(row) for row in surplus])


def _rows(case: Case, rows: list[dict[str, Any]], columns: Mapping[str, str]) -> str:
    """SELECT of `rows` as `columns`, typed; of no row where there is none."""
    for row in rows:
        for name in set(row) - set(columns):
            raise CaseBroken(f"{case.path}: '{name}' is no column there.", f"Known: {', '.join(columns)}.")
    lines = [", ".join(f"CAST({literal(row.get(c))} AS {t}) AS {quote(c)}" for c, t in columns.items()) for row in rows]
    if lines:
        return " UNION ALL ".join(f"SELECT {line}" for line in lines)
    return f"SELECT {', '.join(f'CAST(NULL AS {t}) AS {quote(c)}' for c, t in columns.items())} WHERE false"


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_missing"}
