"""Rows at fault that came with a load's counts: made into entries of quarantine without Spark.

They are a handful at most loads, and a job of Spark that reads one table and writes another takes seconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.contracts.model import Contract

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.bronze.load import LoadStamp


def parts(texts: Sequence[str]) -> pa.Table:
    """A table with the fields of `quarantine.parts_sql`, of JSON objects of them."""
    import pyarrow as pa

    kinds = {"key": pa.string(), "cursor": pa.int64(), "reasons": pa.list_(pa.string()), "row": pa.string()}
    return pa.Table.from_pylist([json.loads(text) for text in texts], schema=pa.schema(kinds.items()))


def missing(few: pa.Table, contract: Contract, stamp: LoadStamp) -> pa.Table:
    """The rows of `few` (see `parts`) as ops.quarantine has them, each once, without those that it holds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from lakehouse.delta import scan

    texts = few["row"].to_pylist()
    # As `quarantine.identity` has it.
    ids = [hashlib.sha256(f"{contract.name}\n{text}".encode()).hexdigest() for text in texts]
    first = pa.array({name: number for number, name in enumerate(ids)}.values(), pa.int64())
    rows = few.append_column("quarantine_id", pa.array(ids, pa.string())).take(first)
    held = scan(paths.ops("quarantine"), {"table": contract.name}, columns=["quarantine_id"]).read_all()
    rows = rows.filter(pc.invert(pc.is_in(rows["quarantine_id"], value_set=held["quarantine_id"].combine_chunks())))
    moment = pa.timestamp("us", tz="UTC")
    told = {
        "table": contract.name,
        "batch_id": stamp.batch_id,
        "load": int(stamp.load),
        "run_id": stamp.run_id,
        "quarantined_ts": pa.scalar(stamp.ingest_ts, moment),
        "contract": contract.fingerprint,
        "trace_id": stamp.trace_id,
    }
    rows = rows.set_column(rows.column_names.index("cursor"), "cursor", rows["cursor"].cast(moment))
    for name, value in told.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    return rows
