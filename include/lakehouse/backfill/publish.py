"""A staged backfill becomes the tables: all of its branches, as they were audited, or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lakehouse import paths
from lakehouse.backfill import record
from lakehouse.backfill.request import BackfillRefused
from lakehouse.contracts import load_contract
from lakehouse.manifest import Manifest
from lakehouse.pipeline.batch import Batch
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.watermark import advance_watermark

_REMEDY = "Stage it again: what it was computed from is not what is there."


def publish_staged(manifest: Manifest, beginning: str) -> list[Batch]:
    """Fast-forward every table of the staged backfill whose id begins so; killed half-way, it goes on.

    Raises BackfillRefused, before anything is published, where a table was changed since or its branch is gone.
    """
    found = record.one(beginning)
    if found.state != "staged":
        raise BackfillRefused(
            f"Backfill {found.backfill_id[:8]} is {found.state}, not staged.", "See `lakehouse backfill list`."
        )
    order = [entry.name for entry in manifest.entries]
    batches = sorted(found.batches, key=lambda batch: order.index(batch.table))
    for batch in batches:
        _check(batch)

    def refuse(batch: Batch, candidates: Mapping[str, Batch]) -> Batch:
        raise BackfillRefused(f"{batch.table} was changed this very moment; tables above it are published.", _REMEDY)

    done = publish(batches, refuse)
    for batch in done:
        contract = load_contract(Path(manifest[batch.table].folder))
        if contract.source:
            advance_watermark(contract, batch)
    record.append("published", found.backfill_id, found.request, found.tables)
    return done


def _check(batch: Batch) -> None:
    """Raise BackfillRefused unless the batch can be published as it was staged, or is already."""
    from lakehouse.delta import Branch, PublishConflict, check_fast_forward, transaction_version
    from lakehouse.delta.record import held

    path = paths.table(batch.table)
    if batch.empty or (transaction_version(path, batch.transaction) or 0) >= batch.load:
        return
    branch = Branch.from_json(batch.branch)
    if not held(branch):
        raise BackfillRefused(f"The branch of {batch.table} is gone.", "Stage the backfill again.")
    try:
        check_fast_forward(branch)
    except PublishConflict as error:
        raise BackfillRefused(
            f"{batch.table}, or its files, changed after the backfill was staged: {error.what}", _REMEDY
        ) from error
