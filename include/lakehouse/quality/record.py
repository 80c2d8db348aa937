"""Keeps what gates found in the Delta table ops.quality, one row a rule (DQ-3). Append-only.

`sample` is a JSON list of keys (see `quality.sample`), `candidate` the fingerprint of what was audited, `override` the
id of the override that let it through, or "".
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime

from lakehouse import paths
from lakehouse.quality.result import GateResult


def record(result: GateResult, *, checked_ts: datetime) -> None:
    """Append the rules of `result`. `checked_ts` has a time zone; it is kept in UTC."""
    import pyarrow as pa

    from lakehouse.delta import append_rows

    schema = pa.schema(
        [
            ("checked_ts", pa.timestamp("us", tz="UTC")),
            ("table", pa.string()),
            ("batch_id", pa.string()),
            ("run_id", pa.string()),
            ("rule", pa.string()),
            ("kind", pa.string()),
            ("severity", pa.string()),
            ("success", pa.bool_()),
            ("failed_rows", pa.int64()),
            ("observed", pa.string()),
            ("description", pa.string()),
            ("value", pa.float64()),
            ("sample", pa.string()),
            ("candidate", pa.string()),
            ("override", pa.string()),
        ]
    )
    gate = {
        "checked_ts": checked_ts,
        "table": result.table,
        "batch_id": result.batch_id,
        "run_id": result.run_id,
        "candidate": result.candidate,
        "override": result.override,
    }
    rows = [gate | asdict(rule) | {"sample": json.dumps(rule.sample)} for rule in result.results]
    append_rows(paths.ops("quality"), pa.Table.from_pylist(rows, schema=schema), partition_by=("table",))
