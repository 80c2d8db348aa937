"""One load of a bronze table: landing files in, new rows on the branch, bad rows in quarantine, books balanced.

Row identity is (key, cursor, content hash): the same row seen again, in this load or an earlier one, is not new
(ING-2, ING-6).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import TYPE_CHECKING

from lakehouse.bronze.form import form
from lakehouse.bronze.judge import judged
from lakehouse.bronze.quarantine import known_before, rows_of_load, set_aside
from lakehouse.bronze.repeated import may_repeat
from lakehouse.bronze.seen import Seen
from lakehouse.bronze.verdicts import record_verdicts
from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.ingest.landing import KEPT
from lakehouse.killpoints import reach
from lakehouse.ledger.windows import Window, with_lookback
from lakehouse.quality.part import steady
from lakehouse.spark.settings import setting
from lakehouse.sqltext import literal, quote, timestamp

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.bronze.landed import Landed
    from lakehouse.delta import Branch


#: Landed rows from which a question of its own, whether any is repeated, or which are at fault, costs less than what
#: every row would carry for it.
MANY = 200_000


class LoadFailed(LakehouseError):
    """A load that must not be published. `counts` tells what became of its rows: see `load`."""

    def __init__(self, what: str, remedy: str, counts: dict[str, int]) -> None:
        """Keep the counts for the ledger."""
        super().__init__(what, remedy)
        self.counts = counts


@dataclass(frozen=True)
class LoadStamp:
    """What every row of a load carries (ING-8)."""

    batch_id: str
    load: int
    attempt: str
    run_id: str
    ingest_ts: datetime
    run_date: str
    trace_id: str


def load(
    contract: Contract,
    source: Source,
    branch: Branch,
    there: Landed,
    grown: dict[str, str],
    windows: tuple[Window, ...],
    stamp: LoadStamp,
    *,
    replay: bool = False,
) -> dict[str, int]:
    """Append the new good rows that landed to `branch`; counts: judged, quarantined, set_aside, discarded,
    superseded.

    `grown` are the table's columns beyond the contract. Quarantined are those new in this load, or, where the rows come
    from quarantine, those that stay there; set_aside are those, and what earlier attempts at the load had quarantined.
    Of a replay, superseded are rows appended though their key has a newer state. Raises LoadFailed where more rows than
    the contract's quarantine threshold allows are at fault, those not counted that a published load has set aside
    before (CON-2).
    """
    from lakehouse.delta import UNTOLD, tell

    spark, many = there.frames[0].sparkSession, there.rows >= MANY
    # What tells of the moment could say another thing when it is asked again.
    asked_apart = many and all(steady(contract, rule) for rule in contract.row_rules)
    frames = [judged(frame, contract, source, grown) for frame in there.frames]
    rows = reduce(lambda one, other: one.unionByName(other), frames)
    seen = Seen(rows, contract, source, there.rows, observed=not asked_apart)
    # A series has its cursor in its key. A record of a topic never changes: it is known by its place, whatever columns
    # the contract has of it by now.
    content = [] if source.streamed else ["_row_hash"]
    identity = list(dict.fromkeys([*contract.primary_key, source.cursor, *content]))
    good = seen.passing.where("NOT _faulty AND NOT _discarded")
    sifted = not many or may_repeat(contract, source, there)
    if sifted:
        good = good.dropDuplicates(identity)
    known = _known(spark, branch, source, () if replay else windows, rows)
    if known is not None:
        good = good.join(known.select(*map(quote, identity)), on=identity, how="left_anti")
    new = good.selectExpr(
        *[quote(name) for name in [*[c.name for c in contract.columns], *grown]],
        "_extra",
        f"{timestamp(stamp.ingest_ts)} AS _ingest_ts",
        f"{literal(stamp.batch_id)} AS _batch_id",
        f"{literal(source.connection)} AS _source_system",
        f"CAST({literal(stamp.run_date)} AS DATE) AS _run_date",
        "_row_hash",
    )
    with setting(spark, {**UNTOLD, **form(contract, source)}):
        new.write.format("delta").mode("append").save(branch.path)
    reach("load.appended")
    appended = tell(branch)
    kept = any(KEPT in frame.columns for frame in there.frames)
    with _read_beside(spark, branch) if asked_apart else nullcontext():
        total, bad, discarded = seen.counts(appended)
        left = total - appended - bad - discarded
        if left < 0 or (left and not sifted and known is None):
            raise LakehouseError(
                f"{contract.name}: of {total} landed rows {appended} were appended, {bad} at fault, "
                f"{discarded} discarded.",
                "Clear the extract task: its landing files changed under the load.",
            )
        if kept:
            record_verdicts(contract, rows, stamp)
        aside = bad if kept or not bad else set_aside(spark, contract, seen.few(), seen.aside, stamp)
    counts = {"judged": total, "quarantined": aside, "discarded": discarded}
    counts["set_aside"] = bad if kept else rows_of_load(contract, stamp)
    allowed = contract.quarantine_threshold * total
    # Rows at fault that a published load has set aside already are no news: from quarantine, or a day loaded again.
    news = 0 if kept else bad
    if news > allowed:
        news -= known_before(spark, contract, seen.aside(), stamp)
    if news > allowed:
        raise LoadFailed(
            f"{contract.name}: {news} of {total} rows broke the contract, above its quarantineThreshold of "
            f"{contract.quarantine_threshold:.1%}; nothing was published.",
            f"See them with `lakehouse quarantine list --table {contract.name}`; mend the source, or the contract "
            f"{contract.path}, and clear the task.",
            counts,
        )
    return {**counts, "superseded": _superseded(spark, contract, source, branch) if replay else 0}


@contextmanager
def _read_beside(spark: SparkSession, branch: Branch) -> Iterator[None]:
    """Delta reads the branch's log meanwhile: whoever audits the branch finds that done."""
    with ThreadPoolExecutor(1) as beside:
        read = beside.submit(spark.read.format("delta").load(branch.path).inputFiles)
        yield
        read.result()


def _known(
    spark: SparkSession, branch: Branch, source: Source, windows: tuple[Window, ...], rows: DataFrame
) -> DataFrame | None:
    """Published rows whose cursor could come again: statistics on the cursor leave other files unread (ING-5)."""
    if branch.base_version < 0:
        return None
    cursor = quote(source.cursor)
    published = _published(spark, branch)
    if source.loose or not windows:
        # Rows of any time may be among them, as in a replay.
        span = rows.selectExpr(*[f"unix_micros(CAST({end}({cursor}) AS TIMESTAMP)) AS {end}" for end in ("min", "max")])
        first = span.first()
        if not first or first["min"] is None:
            return None
        between = f"timestamp_micros({first['min']}) AND timestamp_micros({first['max']})"
        return published.where(f"{cursor} BETWEEN {between}")
    # Each window by itself: between a gap far back and the day lies all of the table.
    spans = [
        f"({cursor} > {timestamp(low)} AND {cursor} <= {timestamp(high)})"
        for low, high in with_lookback(windows, source.lookback)
    ]
    return published.where(" OR ".join(spans))


def _superseded(spark: SparkSession, contract: Contract, source: Source, branch: Branch) -> int:
    """Rows of the branch whose key has a newer state in the table. A log takes them in all the same (CON-4)."""
    if branch.base_version < 0:
        return 0
    key, cursor = list(contract.primary_key), quote(source.cursor)
    added = spark.read.format("delta").load(branch.path).select(*map(quote, [*key, source.cursor]))
    published = _published(spark, branch).join(added.select(*map(quote, key)), on=key, how="left_semi")
    names = ", ".join(map(quote, key))
    newest = published.selectExpr(*map(quote, key), f"max({cursor}) OVER (PARTITION BY {names}) AS _newest").distinct()
    return int(added.join(newest, on=key).where(f"{cursor} < _newest").count())


def _published(spark: SparkSession, branch: Branch) -> DataFrame:
    """The table as the branch found it."""
    return spark.read.format("delta").option("versionAsOf", branch.base_version).load(branch.table_path)
