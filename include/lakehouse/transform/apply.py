"""Applying a computed table to its branch: one statement that touches only the rows that differ.

Operational columns of silver and gold: `_batch_id` STRING, `_run_date` DATE, `_updated_ts` TIMESTAMP, of the load
that last changed the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.errors import LakehouseError
from lakehouse.pipeline.batch import Batch
from lakehouse.sqltext import literal, quote, timestamp

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.delta import Branch

OPERATIONAL = (("_batch_id", "STRING"), ("_run_date", "DATE"), ("_updated_ts", "TIMESTAMP"))


class TransformFailed(LakehouseError):
    """A transform whose result cannot become the table."""


def apply(spark: SparkSession, contract: Contract, branch: Branch, query: str, batch: Batch) -> None:
    """Make the branch equal to `query` (the contract's columns). Rows that do not differ are not rewritten."""
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
    try:
        spark.sql(
            f"MERGE INTO {target} t USING ({computed}) s ON {on} "
            f"WHEN MATCHED AND ({differs}) THEN UPDATE SET {changes} "
            f"WHEN NOT MATCHED THEN INSERT ({columns}) VALUES ({values}) "
            f"WHEN NOT MATCHED BY SOURCE THEN DELETE"
        ).collect()
    except Exception as error:
        if "MULTIPLE_SOURCE_ROW_MATCHING" not in str(error):
            raise
        raise TransformFailed(
            f"{contract.name}: transform.sql gives several rows for one {', '.join(contract.primary_key)}.",
            f"Make its rows unique by that key; see {contract.path.parent / 'transform.sql'}.",
        ) from error
