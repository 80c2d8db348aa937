"""A computed table worked out on its branch: in full, or for the keys that changes of its inputs touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.pipeline.batch import Batch
from lakehouse.transform.apply import apply, base_sql
from lakehouse.transform.increment import Increment
from lakehouse.transform.inputs import Input, register
from lakehouse.transform.keys import work_out
from lakehouse.transform.resume import resumed
from lakehouse.transform.scd2 import versions_sql
from lakehouse.transform.sql import TransformSql

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.delta import Branch


def work(
    spark: SparkSession,
    contract: Contract,
    transform: TransformSql,
    inputs: Mapping[str, Input],
    branch: Branch,
    batch: Batch,
    increment: Increment | None,
    restated: Mapping[str, DataFrame],
) -> None:
    """Bring `branch` up to `inputs`; without an `increment` in full. Leaves it as it is where no key is affected.

    `restated` are rows of inputs that an increment takes for changed.
    """
    query = transform.over(register(spark, inputs))
    if increment is None:
        if contract.scd2:
            query = versions_sql(contract, contract.scd2, f"({query})")
        apply(spark, contract, branch, query, batch)
        return
    affected, held = work_out(spark, contract, base_sql(branch), increment, restated)
    try:
        if not affected:
            return
        types = {column.name: column.type for column in contract.columns}
        # A range that is computed anew trusts no version that is there.
        resumes = contract.scd2 and not restated
        again = resumed(spark, contract, query, base_sql(branch), affected, held) if resumes else None
        if again:
            query, affected = again
        else:
            if contract.scd2:
                # Versions come of all that is known of a key.
                affected = [keys.at_all_times() for keys in affected]
            # A row that is reached in two ways comes once; rows that differ in one key stay two, and fail the merge.
            query = " UNION ".join(keys.of(f"({query})", "r.*", types) for keys in affected)
            if contract.scd2:
                # The unknown member is there since the first load.
                query = versions_sql(contract, replace(contract.scd2, unknown_member={}), f"({query})")
        apply(spark, contract, branch, query, batch, affected)
    finally:
        for frame in held:
            frame.unpersist()
