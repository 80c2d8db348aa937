"""Quarantine: ops.quarantine holds every row set aside, once, with all its reasons and as it landed (CON-2, CON-3).

ops.quarantine, partitioned by table: quarantine_id (sha2 of table and landed row), table, batch_id, load, run_id,
quarantined_ts TIMESTAMP, key (JSON), cursor TIMESTAMP, reasons ARRAY<STRING>, row (JSON as landed), contract
(fingerprint), trace_id. The error lane repeats the batch's rows as JSON files, rewritten whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lakehouse import ledger, paths
from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach
from lakehouse.sqltext import literal, quote, timestamp

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.bronze.load import LoadStamp
    from lakehouse.delta import TableSpec


#: How often quarantine is read again when another load of the same table was quicker.
ATTEMPTS = 10

COLUMNS = (
    ("quarantine_id", "STRING"),
    ("table", "STRING"),
    ("batch_id", "STRING"),
    ("load", "BIGINT"),
    ("run_id", "STRING"),
    ("quarantined_ts", "TIMESTAMP"),
    ("key", "STRING"),
    ("cursor", "TIMESTAMP"),
    ("reasons", "ARRAY<STRING>"),
    ("row", "STRING"),
    ("contract", "STRING"),
    ("trace_id", "STRING"),
)


class QuarantineBusy(LakehouseError):
    """Several processes set rows of one table aside, and this one was always late."""


def set_aside(
    spark: SparkSession, contract: Contract, few: pa.Table | None, aside: Callable[[], DataFrame], stamp: LoadStamp
) -> int:
    """Write the rows at fault that quarantine does not hold yet; how many of its rows are of this load.

    In: the fields of `parts_sql`, of `few` where the rows are few (see `bronze.few`), else of `aside`. A row read
    again by a lookback or a retry is not set aside twice: what quarantine holds is left out, and of two loads of the
    table that looked at the same time one commits; the other looks again. Raises QuarantineBusy when that keeps
    happening.
    """
    from lakehouse.delta import ColumnSpec, TableSpec, create_table, transaction_version

    path = paths.ops("quarantine")
    spec = TableSpec(tuple(ColumnSpec(name, kind) for name, kind in COLUMNS), partition_by=("table",))
    create_table(path, spec)
    for _ in range(ATTEMPTS):
        # Asked before quarantine is read: whoever publishes for this table after that takes this number.
        number = (transaction_version(path, _application(contract)) or 0) + 1
        added = _publish(spark, contract, few, aside, stamp, spec, number)
        if added is not None:
            break
    else:
        raise QuarantineBusy(
            f"{contract.name}: other loads kept setting rows aside while batch {stamp.batch_id} wanted to.",
            "Have fewer runs load this table at a time, and clear the task.",
        )
    count = _rewrite_lane(contract, stamp)
    if count == added:
        return count
    # An earlier attempt at this load has set rows aside too, and the source may have mended some of them since.
    mine = f"table = {literal(contract.name)} AND batch_id = {literal(stamp.batch_id)} AND load = {int(stamp.load)}"
    held = spark.read.format("delta").load(path).where(mine)
    return int(_entries(contract, aside(), stamp).join(held, on="quarantine_id", how="left_semi").count())


def rows_of_load(contract: Contract, stamp: LoadStamp) -> int:
    """How many rows quarantine holds of this load, whichever attempt set them aside."""
    import pyarrow.compute as pc

    from lakehouse.delta import dataset

    held = dataset(paths.ops("quarantine"), {"table": contract.name})
    mine = (pc.field("table") == contract.name) & (pc.field("batch_id") == stamp.batch_id)
    return 0 if held is None else int(held.count_rows(filter=mine & (pc.field("load") == stamp.load)))


def known_before(spark: SparkSession, contract: Contract, parts: DataFrame, stamp: LoadStamp) -> int:
    """How many rows of `parts` (columns as of `parts_sql`) other loads have set aside that were published all the same.

    What a load set aside that never was published does not count: its source is still at fault.
    """
    published = {(e.batch_id, e.load) for e in ledger.read(contract.name) if e.event == "published"}
    loads = [
        f"({literal(batch_id)}, CAST({load} AS BIGINT))"
        for batch_id, load in sorted(published - {(stamp.batch_id, stamp.load)})
    ]
    if not loads:
        return 0
    held = spark.read.format("delta").load(paths.ops("quarantine"))
    held = held.where(f"table = {literal(contract.name)} AND (batch_id, load) IN ({', '.join(loads)})")
    ids = parts.selectExpr(f"{identity(contract, 'row')} AS quarantine_id")
    return int(ids.join(held, "quarantine_id", "left_semi").count())


def identity(contract: Contract, row: str) -> str:
    """SQL of the quarantine_id of a row that landed as `row`, the name of its column."""
    return f"sha2(concat({literal(contract.name + chr(10))}, {row}), 256)"


def _publish(
    spark: SparkSession,
    contract: Contract,
    few: pa.Table | None,
    aside: Callable[[], DataFrame],
    stamp: LoadStamp,
    spec: TableSpec,
    number: int,
) -> int | None:
    """Publish the rows that quarantine lacks; how many, None where another load took `number` meanwhile."""
    from lakehouse.bronze.few import missing
    from lakehouse.delta import append_rows, drop_branch, fast_forward, open_branch

    path = paths.ops("quarantine")
    branch = open_branch(path, f"{path}/_branch/{stamp.batch_id}/{stamp.attempt}", spec, "append")
    if few is None:
        held = spark.read.format("delta").load(path).where(f"table = {literal(contract.name)}").select("quarantine_id")
        rows = (
            _entries(contract, aside(), stamp)
            .join(held, on="quarantine_id", how="left_anti")
            .select(*[name for name, _ in COLUMNS])
        )
        rows.write.format("delta").mode("append").save(branch.path)
    elif (new := missing(few, contract, stamp)).num_rows:
        append_rows(branch.path, new)
    reach("quarantine.written")
    told = {"batch_id": stamp.batch_id, "run_id": stamp.run_id}
    published = fast_forward(branch, _application(contract), number, told, rebase_appends=True)
    reach("quarantine.published")
    drop_branch(branch)
    return None if published.already else published.rows_added


def _application(contract: Contract) -> str:
    """App id of the transactions that set rows of one table aside; they are numbered from 1."""
    return f"quarantine/{contract.name}"


def parts_sql(contract: Contract, source: Source) -> str:
    """SQL of what an entry has of its row, over a judged frame (see `lakehouse.bronze.judge`): a struct of key STRING
    (JSON), cursor BIGINT (microseconds since the epoch), reasons ARRAY<STRING> and row STRING (JSON).

    It has each column that is costly to make once: then Spark makes it where the struct is asked for, and not before.
    """
    key = ", ".join(map(quote, contract.primary_key))
    return (
        f"struct(to_json(struct({key})) AS key, "
        f"unix_micros(CAST({quote(source.cursor)} AS TIMESTAMP)) AS cursor, _reasons AS reasons, _landed AS row)"
    )


def parts_of(bad: DataFrame, contract: Contract, source: Source) -> DataFrame:
    """The fields of `parts_sql` as columns, of the rows of a judged frame."""
    return bad.selectExpr(f"{parts_sql(contract, source)} AS one").select("one.*")


def _entries(contract: Contract, parts: DataFrame, stamp: LoadStamp) -> DataFrame:
    """The rows of `parts` as quarantine holds them, each once."""
    return parts.selectExpr(
        f"{identity(contract, 'row')} AS quarantine_id",
        f"{literal(contract.name)} AS table",
        f"{literal(stamp.batch_id)} AS batch_id",
        f"CAST({int(stamp.load)} AS BIGINT) AS load",
        f"{literal(stamp.run_id)} AS run_id",
        f"{timestamp(stamp.ingest_ts)} AS quarantined_ts",
        "key",
        "timestamp_micros(cursor) AS cursor",
        "reasons",
        "row",
        f"{literal(contract.fingerprint)} AS contract",
        f"{literal(stamp.trace_id)} AS trace_id",
    ).dropDuplicates(["quarantine_id"])


def _rewrite_lane(contract: Contract, stamp: LoadStamp) -> int:
    """Write the batch's rows to its error lane as JSON lines, whole or not at all; how many are of this load."""
    import duckdb

    from lakehouse.delta import scan, store

    lane = paths.error_lane(contract.name, stamp.run_date, stamp.batch_id)
    mine = scan(paths.ops("quarantine"), {"table": contract.name, "batch_id": stamp.batch_id})
    with store.draft(f"{lane}/part-00000.json") as draft, duckdb.connect() as db:
        db.execute("CREATE TABLE lane AS SELECT * FROM mine")
        db.execute("COPY lane TO $file (FORMAT json)", {"file": str(draft)})
        (count,) = db.execute("SELECT count(*) FROM lane WHERE load = $load", {"load": stamp.load}).fetchone() or (0,)
    del mine
    reach("quarantine.lane")
    return int(count)
