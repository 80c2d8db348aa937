"""The transform step: the table as it would be, on a branch of its own. Nothing published changes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lakehouse import ledger, log, metrics, paths
from lakehouse.bronze.drift import evolved
from lakehouse.bronze.landed import landed
from lakehouse.bronze.load import LoadFailed, LoadStamp, load
from lakehouse.clock import now
from lakehouse.config import settings
from lakehouse.contracts.model import Contract
from lakehouse.errors import LakehouseError
from lakehouse.killpoints import reach
from lakehouse.ledger.state import last_published, next_load
from lakehouse.metrics.measures import loaded
from lakehouse.pipeline.batch import Batch, Run, change_batch_id, new_attempt
from lakehouse.pipeline.events import event_of
from lakehouse.pipeline.extract import source_of
from lakehouse.pipeline.reconcile import reconciled_events
from lakehouse.pipeline.spec import table_spec
from lakehouse.pipeline.takeover import take_over
from lakehouse.transform.columns import check_columns
from lakehouse.transform.increment import plan
from lakehouse.transform.inputs import resolve
from lakehouse.transform.restate import Restate, problem, rows_in_range
from lakehouse.transform.sql import parse_transform
from lakehouse.transform.work import work

if TYPE_CHECKING:
    from lakehouse.delta import Branch


def load_landed(contract: Contract, batch: Batch) -> Batch:
    """Bronze: the landed rows of `batch`, judged, on an append branch."""
    from lakehouse.delta import diff, schema_columns
    from lakehouse.spark import connected, session_id

    source = source_of(contract)
    with log.bound(batch, "transform"):
        batch = replace(batch, attempt=new_attempt(contract.name, batch.run))
        take_over(batch)
        if batch.empty or not batch.counts.get("extracted"):
            return replace(batch, empty=True).with_counts(
                quarantined=0, discarded=0, superseded=0, inserted=0, duplicates=0
            )
        landing = paths.landing(contract.name, *batch.landing)
        rows = batch.counts["extracted"]
        began = time.monotonic()
        with connected(f"{contract.name} transform", session_id(batch.batch_id, batch.attempt)) as spark:
            files = landed(spark, landing)
            if not files.frames:
                raise LakehouseError(
                    f"{contract.name}: the {rows} extracted rows are not in {landing} any more.",
                    "Clear the extract task: files stay for a time, and other runs of the window replace them.",
                )
            there = {column.name: column.type for column in schema_columns(paths.table(contract.name))}
            grown = evolved(contract, source, files.frames, there)
            branch = _branch(contract, batch, "append", grown)
            reach("load.branched")
            again = batch.run.kind == "replay"
            try:
                counts = load(
                    contract,
                    source,
                    branch,
                    files,
                    grown,
                    batch.windows,
                    _stamp(batch),
                    replay=again,
                )
            except LoadFailed as error:
                # For the books: nothing else of the load is on record.
                failed = batch.held_spark(time.monotonic() - began).with_counts(**error.counts)
                ledger.append(event_of(failed, "failed", detail="quarantineThreshold"))
                metrics.emit(partial(loaded, failed))
                raise
        if counts["judged"] != batch.counts["extracted"]:
            raise LakehouseError(
                f"{contract.name}: {batch.counts['extracted']} rows were extracted and {counts['judged']} judged.",
                f"Clear the extract task: the landing files in {landing} changed under the load.",
            )
        added = diff(branch).rows_added
        batch = replace(batch, branch=branch.to_json(), empty=added == 0).held_spark(time.monotonic() - began)
        gone = {name: counts[name] for name in ("quarantined", "discarded")}
        batch = batch.with_counts(
            inserted=added - counts["superseded"],
            superseded=counts["superseded"],
            duplicates=counts["judged"] - added - sum(gone.values()),
            set_aside=counts["set_aside"],
            **gone,
        )
        log.get().info("branched", branch=branch.path, **batch.counts)
        return batch


def _stamp(batch: Batch) -> LoadStamp:
    run = batch.run
    return LoadStamp(
        batch.batch_id, batch.load, batch.attempt, run.run_id, batch.started_ts, run.run_date, run.trace_id
    )


def _begin_streamed(tables: Sequence[str]) -> None:
    """Make the streamed ones of `tables` that were never loaded, empty: those who read them need not wait for a stream
    that may not even run here."""
    from lakehouse.contracts import load_contract
    from lakehouse.delta import create_table, latest_version

    for name in tables:
        if name.startswith("bronze.") and latest_version(paths.table(name)) < 0:
            contract = load_contract(paths.contract_folder(name))
            if contract.source and contract.source.streamed:
                create_table(paths.table(name), table_spec(contract))


def compute(
    contract: Contract, run: Run, candidates: Mapping[str, Batch] | None = None, restate: Restate | None = None
) -> Batch:
    """Silver and gold: transform.sql over its inputs, applied to a branch.

    `candidates` are the batches of tables that this run has branched but not published.
    Where neither inputs nor contract nor SQL changed since the last publish, nothing is computed; with `restate` the
    keys of its range are in any case. If contract or SQL changed, what is restated by keys has the old fingerprints on
    record: the rest of the table is stale still.
    """
    from lakehouse.delta import diff, latest_version
    from lakehouse.spark import connected, session_id

    transform = parse_transform(contract.path.parent)
    check_columns(contract, transform)
    there = dict(candidates or {})
    _begin_streamed([name for name in transform.reads if name not in there])
    inputs = resolve(contract.name, transform.reads, there, restate.as_of if restate else None)
    consumed = {name: source.consumed for name, source in inputs.items()}
    events = reconciled_events(contract.name)
    base = latest_version(paths.table(contract.name))
    batch_id = change_batch_id(contract, consumed, transform.fingerprint, base, str(restate or ""))
    batch = Batch(
        table=contract.name,
        batch_id=batch_id,
        load=next_load(events, batch_id),
        attempt=new_attempt(contract.name, run),
        run=run,
        started_ts=now(),
        consumed=consumed,
        contract=contract.fingerprint,
        sql=transform.fingerprint,
    )
    with log.bound(batch, "transform"):
        take_over(batch, events)
        last = last_published(events)
        same = (consumed, batch.contract, batch.sql)
        if not restate and last and base >= 0 and (last.consumed, last.contract, last.sql) == same:
            log.get().info("up to date", version=base)
            return replace(batch, empty=True)
        increment = plan(contract, transform, inputs, last, base, settings().increments_from_bytes, restate is not None)
        if restate and last and not isinstance(increment, str):
            increment = problem(increment, inputs, there, restate) or increment
            if not isinstance(increment, str):
                batch = replace(batch, contract=last.contract, sql=last.sql)
        began = time.monotonic()
        ledger.append(event_of(batch, "started", at=batch.started_ts))
        reach("compute.started")
        branch = _branch(contract, batch, "clone")
        reach("compute.branched")
        if isinstance(increment, str):
            log.get().info("computed in full", reason=increment)
        with connected(f"{contract.name} transform", session_id(batch.batch_id, batch.attempt)) as spark:
            some = None if isinstance(increment, str) else increment
            restated = {}
            if restate and some:
                restated = {
                    name: rows_in_range(spark, inputs[name], there, restate) for name in {h.table for h in some.handles}
                }
            work(spark, contract, transform, inputs, branch, batch, some, restated)
            reach("compute.applied")
        change = diff(branch)
        batch = replace(batch, branch=branch.to_json(), empty=change.is_empty and base >= 0)
        batch = batch.held_spark(time.monotonic() - began).with_counts(**_row_changes(change.statement))
        log.get().info("branched", branch=branch.path, files_added=change.files_added, empty=batch.empty)
        return batch


def _row_changes(statement: dict[str, Any]) -> dict[str, int]:
    """Rows inserted, updated and deleted, as Spark counted them for the branch's statement."""
    metrics = statement.get("operationMetrics", {})
    names = {"inserted": "numTargetRowsInserted", "updated": "numTargetRowsUpdated", "deleted": "numTargetRowsDeleted"}
    counts = {name: int(metrics.get(metric, 0)) for name, metric in names.items()}
    return (
        counts if "numTargetRowsInserted" in metrics else {**counts, "inserted": int(metrics.get("numOutputRows", 0))}
    )


def _branch(
    contract: Contract, batch: Batch, mode: Literal["append", "clone"], grown: Mapping[str, str] | None = None
) -> Branch:
    from lakehouse.delta import open_branch

    path = paths.branch(contract.name, batch.batch_id, batch.attempt)
    return open_branch(paths.table(contract.name), path, table_spec(contract, grown), mode)
