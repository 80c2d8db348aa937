"""Verdicts on quarantined rows: facts beside ops.quarantine, only ever appended; a row's status follows from them.

ops.verdicts, partitioned by table: verdict_ts TIMESTAMP, quarantine_id, table, verdict (passed, failed, discarded),
reasons (list), batch_id, load BIGINT, contract (fingerprint), who, reason, trace_id. A replay says what its rows are
before it publishes: `passed` counts once the ledger has its load as published. A person's verdict has load 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.bronze.quarantine import identity
from lakehouse.clock import now
from lakehouse.contracts.model import Contract
from lakehouse.sqltext import literal, timestamp

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from lakehouse.bronze.load import LoadStamp


def record_verdicts(contract: Contract, rows: DataFrame, stamp: LoadStamp) -> None:
    """Put on record what became of judged rows that came from quarantine. Said again by each attempt at the load."""
    found = rows.selectExpr(
        f"{timestamp(now())} AS verdict_ts",
        f"{identity(contract, '_landed')} AS quarantine_id",
        f"{literal(contract.name)} AS table",
        "CASE WHEN _discarded THEN 'discarded' WHEN size(_reasons) = 0 THEN 'passed' ELSE 'failed' END AS verdict",
        "_reasons AS reasons",
        f"{literal(stamp.batch_id)} AS batch_id",
        f"CAST({int(stamp.load)} AS BIGINT) AS load",
        f"{literal(contract.fingerprint)} AS contract",
        "'' AS who",
        "IF(_discarded, 'schemaPolicy', '') AS reason",
        f"{literal(stamp.trace_id)} AS trace_id",
    )
    _append(found.toArrow())


def discard_rows(table: str, ids: Sequence[str], who: str, reason: str) -> None:
    """Put on record that somebody gives these rows up, and why."""
    import pyarrow as pa

    moment = now()
    said = {"verdict_ts": moment, "table": table, "verdict": "discarded", "reasons": [], "batch_id": "", "load": 0}
    said |= {"contract": "", "who": who, "reason": reason, "trace_id": ""}
    _append(pa.Table.from_pylist([{**said, "quarantine_id": name} for name in ids], schema=schema()))


def schema() -> pa.Schema:
    """Columns of ops.verdicts."""
    import pyarrow as pa

    text = ["quarantine_id", "table", "verdict", "batch_id", "contract", "who", "reason", "trace_id"]
    fields = [("verdict_ts", pa.timestamp("us", tz="UTC")), ("reasons", pa.list_(pa.string())), ("load", pa.int64())]
    return pa.schema([*((name, pa.string()) for name in text), *fields])


def _append(rows: pa.Table) -> None:
    from lakehouse.delta import append_rows

    ordered = rows.select(schema().names).cast(schema())
    append_rows(paths.ops("verdicts"), ordered, partition_by=("table",))
