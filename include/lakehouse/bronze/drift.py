"""Schema drift: landed columns against those of the contract (CON-1).

A column the contract knows and the source no longer gives becomes null. One the contract does not know follows the
source's `schemaPolicy`:

- keep (default): its values go to `_extra`, a JSON object a row, null where the row has none
- evolve: it becomes a column of the table, under its own name and the type it landed with
- freeze: the load fails, naming it
- discard_value: it is left out
- discard_row: rows that have a value in it are left out, and counted
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.ingest.landing import EXTRA
from lakehouse.sqltext import literal, quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Types that a column may evolve to; values of any other become text.
_PLAIN = ("bigint", "int", "smallint", "tinyint", "double", "float", "boolean", "string", "binary", "date", "timestamp")


class SchemaFrozen(LakehouseError):
    """A source under the policy `freeze` changed its columns."""


#: How JSON has times: Spark's own way would cut them at milliseconds.
TIMES = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"


def unknown(frame: DataFrame) -> dict[str, str]:
    """{name in the source: Spark type} of the landed columns that the contract does not know."""
    return {name.removeprefix(EXTRA): kind for name, kind in frame.dtypes if name.startswith(EXTRA)}


def evolved(contract: Contract, source: Source, frames: Sequence[DataFrame], there: dict[str, str]) -> dict[str, str]:
    """{column: type} that the table has beyond its contract, or grows by with these frames.

    `there` are the table's columns now, operational ones included. Raises SchemaFrozen under the policy `freeze`.
    """
    if source.schema_policy == "freeze":
        added = sorted({name for frame in frames for name in unknown(frame)})
        lost = sorted({c.name for c in contract.columns for frame in frames if c.name not in frame.columns})
        if added or lost:
            what = [f"{word} {', '.join(names)}" for word, names in (("added", added), ("lost", lost)) if names]
            raise SchemaFrozen(
                f"{contract.name}: {source.object} {' and '.join(what)}, and its schemaPolicy is freeze.",
                f"Change {contract.path} to what the source gives now, or its schemaPolicy, and clear the load.",
            )
    own = {column.name.lower() for column in contract.columns}
    grown = {name: kind for name, kind in there.items() if name.lower() not in own and not name.startswith("_")}
    if source.schema_policy == "evolve":
        folded = {name.lower() for name in grown} | own
        for frame in frames:
            for name, kind in unknown(frame).items():
                if name.lower() not in folded and not name.startswith("_"):
                    grown[name] = kind if kind in _PLAIN or kind.startswith("decimal(") else "string"
                    folded.add(name.lower())
                elif name in grown and name not in there and grown[name] != kind:
                    grown[name] = "string"
    return {name: kind.upper() for name, kind in grown.items()}


def extra_sql(frame: DataFrame, source: Source, grown: dict[str, str]) -> str:
    """SQL of `_extra`: the values of unknown columns that are no column of the table, as JSON; null without any."""
    # By name: a row is the same row whatever order the source has its columns in.
    kept = sorted(name for name in unknown(frame) if name not in grown)
    if not kept or source.schema_policy not in ("keep", "evolve"):
        return "CAST(NULL AS STRING)"
    fields = ", ".join(f"{quote(EXTRA + name)} AS {quote(name)}" for name in kept)
    none = " AND ".join(f"{quote(EXTRA + name)} IS NULL" for name in kept)
    return f"IF({none}, NULL, {as_json(fields)})"


def as_json(fields: str) -> str:
    """SQL of the JSON object of `fields`, which are SQL too; without those that are null."""
    return f"to_json(struct({fields}), map('timestampFormat', {literal(TIMES)}))"


def discard_sql(frame: DataFrame, source: Source) -> str:
    """SQL that is true for a row to be left out under the policy `discard_row`."""
    names = unknown(frame) if source.schema_policy == "discard_row" else {}
    return " OR ".join(f"{quote(EXTRA + name)} IS NOT NULL" for name in names) or "false"
