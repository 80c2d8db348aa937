"""Applying a computed table to its branch: one statement that touches only the rows that differ.

Operational columns of silver and gold: `_batch_id` STRING, `_run_date` DATE, `_updated_ts` TIMESTAMP, of the load
that last changed the row; and `_changed_ts` of a version (scd2.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.errors import LakehouseError
from lakehouse.pipeline.batch import Batch
from lakehouse.sqltext import literal, quote, timestamp
from lakehouse.transform.scd2 import CHANGED, UNKNOWN_KEY

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.delta import Branch
    from lakehouse.transform.keys import Affected

#: Whether a MERGE brings the rows of a partition together before it writes them.
_BY_PARTITION = "spark.databricks.delta.merge.repartitionBeforeWrite.enabled"

OPERATIONAL = (("_batch_id", "STRING"), ("_run_date", "DATE"), ("_updated_ts", "TIMESTAMP"))


def operational(contract: Contract) -> tuple[tuple[str, str], ...]:
    """(name, type) of the operational columns of a computed table."""
    return (*OPERATIONAL, (CHANGED, "TIMESTAMP")) if contract.scd2 else OPERATIONAL


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
    """Make the branch equal to `query` (the contract's columns). Files without a row that differs are not rewritten.

    With `affected`, `query` gives the rows with affected keys, and no other rows of the table are looked at.
    """
    names = [quote(column.name) for column in contract.columns]
    casts = ", ".join(f"CAST({quote(c.name)} AS {c.type}) AS {quote(c.name)}" for c in contract.columns)
    stamps = (
        f"{literal(batch.batch_id)} AS _batch_id, CAST({literal(batch.run.run_date)} AS DATE) AS _run_date, "
        f"{timestamp(batch.started_ts)} AS _updated_ts"
    )
    told = f", {CHANGED}" if contract.scd2 else ""
    computed = f"SELECT {casts}, {stamps}{told} FROM ({query})"
    target = f"delta.{quote(branch.path)}"
    columns = ", ".join([*names, *(quote(name) for name, _ in operational(contract))])
    if branch.base_version < 0:
        # A partition's rows come together first, or each task would write a file of its own into each.
        spread = f"/*+ REBALANCE({', '.join(map(quote, contract.partition_by))}) */ " if contract.partition_by else ""
        spark.sql(f"INSERT INTO {target} ({columns}) SELECT {spread}{columns} FROM ({computed})").collect()
        return
    key = [quote(name) for name in contract.primary_key]
    rest = [name for name in columns.split(", ") if name not in key]
    source, within = _changes(contract, branch, computed, columns, affected)
    on = " AND ".join(f"t.{name} = s.{name}" for name in key) + within
    merge = f"USING ({source}) s ON {on} WHEN MATCHED AND s._gone THEN DELETE "
    merge += f"WHEN MATCHED THEN UPDATE SET {', '.join(f't.{name} = s.{name}' for name in rest)} "
    merge += f"WHEN NOT MATCHED AND NOT s._gone THEN INSERT ({columns}) VALUES ({_of('s', columns)})"
    if contract.scd2 and contract.partition_by:
        # By partition, as it is Delta's way, one task would write all current versions.
        spark.conf.set(_BY_PARTITION, "false")
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
    """`branch` as it was opened, columns included that the table does not have yet, as Spark SQL names it."""
    from lakehouse.delta import latest_version, table_sql

    return f"{table_sql(branch.path)} VERSION AS OF {latest_version(branch.path)}"


def _changes(
    contract: Contract, branch: Branch, computed: str, columns: str, affected: Sequence[Affected] | None
) -> tuple[str, str]:
    """The source of the MERGE, and where in the table, t, any of it may be: rows of `computed` that are new or differ
    from the table's, and those of the table, marked `_gone`, that are not in it.

    Nothing else is in it, for a MERGE writes every file anew that has a row its source has.
    """
    types = {column.name: column.type for column in contract.columns}
    key = [quote(name) for name in contract.primary_key]
    base, within = f"SELECT {columns} FROM {base_sql(branch)}", ""
    if affected is not None and contract.scd2:
        # The unknown member is there since the first load, and is no version of anybody, whatever key it has.
        base += f" WHERE {quote(contract.scd2.surrogate_key)} <> {UNKNOWN_KEY}"
    base = f"({base})"
    if affected is not None:
        base = " UNION ".join(keys.of(base, _of("r", columns), types) for keys in affected)
        within = " AND (" + " OR ".join(keys.within("t", types) for keys in affected) + ")"
    stamps = [quote(name) for name, _ in OPERATIONAL]
    rest = [name for name in columns.split(", ") if name not in (*key, *stamps)]
    differs = ["c._times > 1", "c._times IS NULL", "g._is IS NULL", *(f"NOT (c.{n} <=> g.{n})" for n in rest)]
    chosen = [f"coalesce(c.{name}, g.{name}) AS {name}" if name in key else f"c.{name}" for name in columns.split(", ")]
    # Rows that come several times are left in, whether they differ or not: the MERGE refuses them.
    counted = f"SELECT *, count(*) OVER (PARTITION BY {', '.join(key)}) AS _times FROM ({computed})"
    source = (
        f"SELECT {', '.join(chosen)}, c._times IS NULL AS _gone FROM ({counted}) c "
        f"FULL OUTER JOIN (SELECT *, TRUE AS _is FROM ({base})) g ON {' AND '.join(f'c.{n} = g.{n}' for n in key)} "
        f"WHERE {' OR '.join(differs)}"
    )
    return source, within


def _of(alias: str, columns: str) -> str:
    return ", ".join(f"{alias}.{name}" for name in columns.split(", "))
