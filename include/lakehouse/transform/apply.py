"""Applying a computed table to its branch: one statement that touches only the rows that differ.

Operational columns of silver and gold: `_batch_id` STRING, `_run_date` DATE, `_updated_ts` TIMESTAMP, of the load
that last changed the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.errors import LakehouseError
from lakehouse.pipeline.batch import Batch
from lakehouse.sqltext import literal, quote, timestamp

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.delta import Branch
    from lakehouse.transform.increment import Affected

OPERATIONAL = (("_batch_id", "STRING"), ("_run_date", "DATE"), ("_updated_ts", "TIMESTAMP"))


class TransformFailed(LakehouseError):
    """A transform whose result cannot become the table."""


def apply(
    spark: SparkSession,
    contract: Contract,
    branch: Branch,
    query: str,
    batch: Batch,
    affected: Sequence[Affected] | None = None,
) -> None:
    """Make the branch equal to `query` (the contract's columns). Rows that do not differ are not rewritten.

    With `affected`, `query` gives the rows with affected keys, and no other rows of the table are looked at.
    """
    names = [quote(column.name) for column in contract.columns]
    casts = ", ".join(f"CAST({quote(c.name)} AS {c.type}) AS {quote(c.name)}" for c in contract.columns)
    stamps = (
        f"{literal(batch.batch_id)} AS _batch_id, CAST({literal(batch.run.run_date)} AS DATE) AS _run_date, "
        f"{timestamp(batch.started_ts)} AS _updated_ts"
    )
    computed = f"SELECT {casts}, {stamps} FROM ({query})"
    target = f"delta.{quote(branch.path)}"
    columns = ", ".join([*names, *(quote(name) for name, _ in OPERATIONAL)])
    if branch.base_version < 0:
        spark.sql(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM ({computed})").collect()
        return
    on = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in contract.primary_key)
    rest = [name for name in names if name not in {quote(k) for k in contract.primary_key}]
    differs = " OR ".join(f"NOT (t.{name} <=> s.{name})" for name in rest) or "FALSE"
    changes = ", ".join(f"t.{name} = s.{name}" for name in [*rest, *(quote(n) for n, _ in OPERATIONAL)])
    values = ", ".join(f"s.{name}" for name in [*names, *(quote(n) for n, _ in OPERATIONAL)])
    inserted, gone = f"INSERT ({columns}) VALUES ({values})", "WHEN NOT MATCHED BY SOURCE THEN DELETE"
    if affected is None:
        merge = f"USING ({computed}) s ON {on} WHEN MATCHED AND ({differs}) THEN UPDATE SET {changes} "
        merge += f"WHEN NOT MATCHED THEN {inserted} {gone}"
    else:
        source, within = _with_gone(contract, branch, computed, columns, affected)
        merge = f"USING ({source}) s ON {on} AND {within} WHEN MATCHED AND s._gone THEN DELETE "
        merge += f"WHEN MATCHED AND ({differs}) THEN UPDATE SET {changes} "
        merge += f"WHEN NOT MATCHED AND NOT s._gone THEN {inserted}"
    try:
        spark.sql(f"MERGE INTO {target} t {merge}").collect()
    except Exception as error:
        if "MULTIPLE_SOURCE_ROW_MATCHING" not in str(error):
            raise
        raise TransformFailed(
            f"{contract.name}: transform.sql gives several rows for one {', '.join(contract.primary_key)}.",
            f"Make its rows unique by that key; see {contract.path.parent / 'transform.sql'}.",
        ) from error


def base_sql(branch: Branch) -> str:
    """The table that `branch` left from, as it was then, as Spark SQL names it."""
    return f"delta.{quote(branch.table_path)} VERSION AS OF {int(branch.base_version)}"


def _with_gone(
    contract: Contract, branch: Branch, computed: str, columns: str, affected: Sequence[Affected]
) -> tuple[str, str]:
    """The source of a MERGE that deletes: `computed` and, marked `_gone`, affected rows of the table not in it; and
    where in the table, t, any of them may be."""
    types = {column.name: column.type for column in contract.columns}
    key = [quote(name) for name in contract.primary_key]
    base, keys = f"(SELECT * FROM {base_sql(branch)})", ", ".join(f"r.{k}" for k in key)
    there = " UNION ".join(a.of(base, keys, types) for a in affected)
    on = " AND ".join(f"c.{k} = g.{k}" for k in key)
    chosen = [f"coalesce(c.{k}, g.{k}) AS {k}" for k in key]
    chosen += [f"c.{name}" for name in columns.split(", ") if name not in key]
    source = f"SELECT {', '.join(chosen)}, c.{key[0]} IS NULL AS _gone FROM ({computed}) c FULL OUTER JOIN ({there}) g"
    return f"{source} ON {on}", "(" + " OR ".join(a.within("t", types) for a in affected) + ")"
