"""Doing what was planned, by the pipeline's own steps; killed at any point, the same request goes on where it was.

Loaded chunks are covered in the ledger, so they are no gap any more; of restated tables the ledger has the publish of
this very backfill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lakehouse import ledger
from lakehouse.backfill import record
from lakehouse.backfill.plan import Plan, Step
from lakehouse.manifest import Manifest
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.run import How, Progress, run_tables


@dataclass(frozen=True)
class Done:
    """What a backfill did this time: batches published, or staged; none of what an earlier attempt had published."""

    backfill_id: str
    batches: tuple[Batch, ...]
    staged: bool


def work(
    manifest: Manifest,
    plan: Plan,
    connect: Callable[[str], Any],
    pii_key: Callable[[], bytes],
    progress: Progress,
) -> Done:
    """Do `plan`: publish table by table, groups whole, or leave all of it on branches.

    `connect(connection id)` opens a source. Raises what `run_tables` raises: then the rest is done, and repeating the
    request goes on with what was held.
    """
    asked = plan.request
    found = record.begin(plan)
    run = Run(found.run_id, "backfill", end=asked.window.high, start=asked.window.low)
    pieces = {step.table: _pieces(run, step) for step in plan.steps if not step.action or step.windows}
    how = How(pieces, plan.restate, asked.stage)
    there = _published(manifest, plan, run.run_id)
    left = [manifest[step.table] for step in plan.steps if step.table not in there]
    batches = run_tables(manifest, left, run, connect, pii_key, _counted(progress, len(left)), how)
    state = "staged" if asked.stage else "published"
    record.append(state, found.backfill_id, found.request, found.tables, batches if asked.stage else ())
    return Done(found.backfill_id, tuple(batches), asked.stage)


def _pieces(run: Run, step: Step) -> tuple[Run, ...]:
    """A run for each window; none where nothing is to be loaded."""
    return tuple(Run(f"{run.run_id}/{w.low.isoformat()}", "backfill", end=w.high, start=w.low) for w in step.windows)


def _published(manifest: Manifest, plan: Plan, run_id: str) -> set[str]:
    """Restated tables that an earlier attempt published, with their whole group."""
    if plan.restate is None or plan.request.stage:
        return set()
    there = {event.table for event in ledger.read() if event.event == "published" and event.run_id == run_id}
    return {name for name in there if {member.name for member in manifest.group_of(name)} <= there}


def _counted(progress: Progress, tables: int) -> Progress:
    """Tells how many of the tables were come to."""
    seen: dict[str, int] = {}

    def tell(table: str, step: str) -> None:
        number = seen.setdefault(table, len(seen) + 1)
        progress(f"table {min(number, tables)} of {tables}: {table}", step)

    return tell
