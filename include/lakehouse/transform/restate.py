"""Restating a range: which rows of a table stem from rows of bronze whose cursor lies in it.

Followed from bronze up by the handles that increments go by. Rows may be found that do not stem from the range, never
too few: whatever is found is computed anew in full, and comes out as it should.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.contracts import load_contract
from lakehouse.ledger.windows import Window
from lakehouse.pipeline.batch import Batch
from lakehouse.sqltext import quote, timestamp
from lakehouse.transform.increment import Increment, reached
from lakehouse.transform.inputs import Input, resolve
from lakehouse.transform.sql import parse_transform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.transform.affected import Handle


@dataclass(frozen=True)
class Restate:
    """What is computed anew: keys with rows of bronze in `window`."""

    window: Window
    #: From rows ingested by then; None: from all.
    as_of: datetime | None = None


def problem(
    increment: Increment, inputs: Mapping[str, Input], candidates: Mapping[str, Batch], restate: Restate
) -> str:
    """Why the keys of the range cannot be told; "" where they can."""
    for handle in increment.handles:
        found = _upstream(inputs[handle.table], candidates, restate)
        if found is None:
            return f"which rows of {handle.table} the range touches is not known"
        handles, above = found
        deeper = problem(Increment(tuple(handles), {}), above, candidates, restate)
        if deeper:
            return deeper
    return ""


def rows_in_range(spark: SparkSession, source: Input, candidates: Mapping[str, Batch], restate: Restate) -> DataFrame:
    """The rows of `source` (all its columns, some perhaps twice) that the range touches. `problem` comes first."""
    frame, contract = source.frame(spark), load_contract(paths.contract_folder(source.table))
    if contract.source:
        cursor, window = quote(contract.source.cursor), restate.window
        return frame.where(f"{cursor} > {timestamp(window.low)} AND {cursor} <= {timestamp(window.high)}")
    found = _upstream(source, candidates, restate)
    assert found is not None
    handles, inputs = found
    parts = [
        _touched(frame, handle, rows_in_range(spark, inputs[handle.table], candidates, restate)) for handle in handles
    ]
    return reduce(lambda one, other: one.unionAll(other), parts, frame.where("FALSE"))


def _touched(frame: DataFrame, handle: Handle, rows: DataFrame) -> DataFrame:
    """Rows of `frame` that have a key of `rows`, a handle's input."""
    from pyspark.sql import functions as F

    keys = rows.selectExpr(*[f"{quote(i)} AS {quote(o)}" for i, o in handle.pairs]).distinct()
    on = " AND ".join(f"r.{quote(o)} <=> a.{quote(o)}" for _, o in handle.pairs)
    return frame.alias("r").join(keys.alias("a"), on=F.expr(on), how="left_semi")


def _upstream(
    source: Input, candidates: Mapping[str, Batch], restate: Restate
) -> tuple[list[Handle], dict[str, Input]] | None:
    """Handles and inputs of the SQL behind `source`, none for bronze; None where handles cannot be derived."""
    contract = load_contract(paths.contract_folder(source.table))
    if contract.source:
        return [], {}
    transform = parse_transform(contract.path.parent)
    inputs = resolve(contract.name, transform.reads, dict(candidates), restate.as_of)
    handles = reached(contract, transform, inputs)
    return None if isinstance(handles, str) else (handles, inputs)
