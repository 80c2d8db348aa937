"""The publish step: audited batches become the tables, each by one fast-forward; a group's all together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lakehouse import ledger, log, metrics, paths
from lakehouse.killpoints import reach
from lakehouse.metrics import measures
from lakehouse.pipeline.batch import Batch
from lakehouse.pipeline.events import event_of
from lakehouse.pipeline.reconcile import reconciled_events

#: How often a batch is worked and audited again when somebody else published in between.
ATTEMPTS = 3

Redo = Callable[[Batch, Mapping[str, Batch]], Batch]


def publish(batches: Sequence[Batch], redo: Redo) -> list[Batch]:
    """Publish `batches`, inputs before readers; a batch that is published already is only put on record.

    `redo(batch, candidates)` works and audits a batch again on the table as it is now; it is called when another
    publish came between, where an attempt before this one dropped the branch for that reason, and for those that read
    what was worked again, or whose gates looked at it: it is not what they were computed from, or held against. Raises
    PublishConflict when that keeps happening.
    """
    from lakehouse.delta import BranchRefused, PublishConflict

    done: dict[str, Batch] = {}
    redone: set[str] = set()
    for batch in batches:
        if redone & {*batch.consumed, *batch.checked}:
            batch = _again(batch, redo, done)
            redone.add(batch.table)
        batch = _consuming(batch, done)
        for attempt in range(ATTEMPTS):
            try:
                done[batch.table] = _one(batch)
                metrics.emit(partial(measures.aged, batch.table))
                break
            except (PublishConflict, BranchRefused):
                if attempt == ATTEMPTS - 1:
                    raise
                with log.bound(batch, "publish"):
                    log.get().warning("conflict", attempt=attempt + 1)
                batch = _again(batch, redo, done)
                redone.add(batch.table)
    return list(done.values())


def _again(batch: Batch, redo: Redo, done: Mapping[str, Batch]) -> Batch:
    """`batch` worked again, beside the tables of this run that are published by now."""
    from lakehouse.delta import Branch, drop_branch

    if batch.branch:
        with log.bound(batch, "publish"):
            drop_branch(Branch.from_json(batch.branch))
    return redo(batch, {name: replace(b, empty=True) for name, b in done.items()})


def _consuming(batch: Batch, done: Mapping[str, Batch]) -> Batch:
    """`batch` on record as having read its group's tables at the versions that their candidates became.

    A candidate counts as the version after the one it was branched from, and OPTIMIZE may have come in between.
    """
    from lakehouse.delta import Branch

    became = {
        name: done[name].counts["version"]
        for name, version in batch.consumed.items()
        if name in done and done[name].branch and version == Branch.from_json(done[name].branch).base_version + 1
    }
    return replace(batch, consumed={**batch.consumed, **became})


def _check_unchanged(batch: Batch, latest: int) -> None:
    """Raise PublishConflict where somebody published rows since a batch without a change was computed.

    On record it would stand for the table as it is now, which nobody compared with its inputs.
    """
    from lakehouse.delta import Branch, PublishConflict, changed_since

    base = Branch.from_json(batch.branch).base_version if batch.branch else latest
    path = paths.table(batch.table)
    if not batch.windows and changed_since(path, base, latest):
        raise PublishConflict(
            f"{path}: version {latest} came before a batch was published that found nothing to change in {base}.",
            "Work and audit again on a branch of the table as it is now.",
        )


def _one(batch: Batch) -> Batch:
    from lakehouse.delta import Branch, drop_branch, fast_forward, latest_version

    with log.bound(batch, "publish"):
        version, fresh = latest_version(paths.table(batch.table)), False
        reach("batch.ready")
        if batch.empty:
            if not batch.windows and not batch.branch:
                return batch.with_counts(version=version)
            _check_unchanged(batch, version)
        else:
            published = fast_forward(
                Branch.from_json(batch.branch), batch.transaction, batch.load, _metadata(batch), expected=batch.audited
            )
            reach("batch.committed")
            version, fresh = published.version, not published.already
            batch = batch.with_counts(files_added=published.files_added, files_removed=published.files_removed)
        if fresh or not _on_record(batch):
            ledger.append(event_of(batch, "published", version=version))
            metrics.emit(partial(measures.published, batch))
        reach("batch.recorded")
        if batch.branch:
            drop_branch(Branch.from_json(batch.branch))
        log.get().info("published", version=version, **batch.counts)
        return batch.with_counts(version=version)


def _on_record(batch: Batch) -> bool:
    """Whether the ledger has this very load as published: its publisher died, or slept, right after saying so.

    Where it committed and did not live to say so, its commit says what it was: this batch may be another working of it.
    """
    published = (e for e in reconciled_events(batch.table) if e.event == "published")
    return any((e.batch_id, e.load) == (batch.batch_id, batch.load) for e in published)


def _metadata(batch: Batch) -> dict[str, Any]:
    """What the commit says of itself."""
    return {
        "batch_id": batch.batch_id,
        "load": batch.load,
        "attempt": batch.attempt,
        "run_id": batch.run.run_id,
        "kind": batch.run.kind,
        "trace_id": batch.run.trace_id,
        # For the ledger, should this process die before it can say so itself, or the ledger be lost.
        "windows": [[w.low.isoformat(), w.high.isoformat()] for w in batch.windows],
        "deliveries": batch.deliveries,
        "consumed": batch.consumed,
        "counts": batch.counts,
        "contract": batch.contract,
        "sql": batch.sql,
        **({"kept": batch.kept, "checked": batch.checked} if batch.kept else {}),
        **({"override": batch.override} if batch.override else {}),
    }
