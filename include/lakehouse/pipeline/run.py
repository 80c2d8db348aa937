"""Running tables without Airflow: the same steps, one table after the other, inputs first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse.contracts import load_contract
from lakehouse.manifest import Entry, Manifest
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.extract import extract
from lakehouse.pipeline.gate import gate
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.transform import compute, load_landed
from lakehouse.pipeline.watermark import advance_watermark

Progress = Callable[[str, str], None]


def run_tables(
    manifest: Manifest,
    entries: Sequence[Entry],
    run: Run,
    connect: Callable[[str], Any],
    pii_key: Callable[[], bytes],
    progress: Progress,
) -> list[Batch]:
    """Run `entries` and publish them, groups whole; the published batches.

    `connect(connection id)` opens a source. `progress(table, step)` is called before each step. A table of a publish
    group brings the rest of its group along: they are published together or not at all.
    """
    names = {member.name for entry in entries for member in manifest.group_of(entry.name)}
    done: list[Batch] = []
    pending: dict[str, list[Batch]] = {}
    for entry in (e for e in manifest.entries if e.name in names):
        contract = load_contract(Path(entry.folder))
        candidates = {b.table: b for b in pending.get(entry.publish_group, [])} if entry.publish_group else {}
        if contract.source:
            progress(entry.name, "extract")
            batch = extract(contract, run, lambda name=entry.connection: connect(name), pii_key)  # type: ignore[misc]
            progress(entry.name, "transform")
            batch = load_landed(contract, batch)
        else:
            progress(entry.name, "transform")
            batch = compute(contract, run, candidates)
        progress(entry.name, "gate")
        batch = gate(contract, batch, candidates)
        group = pending.setdefault(entry.publish_group or entry.name, [])
        group.append(batch)
        if entry.publish_group and len(group) < len(manifest.group_of(entry.name)):
            continue
        progress(entry.publish_group or entry.name, "publish")
        done += publish_group(manifest, pending.pop(entry.publish_group or entry.name))
        if contract.source:
            advance_watermark(contract, batch)
    return done


def publish_group(manifest: Manifest, batches: Sequence[Batch]) -> list[Batch]:
    """Publish audited batches that belong together, inputs first."""

    def redo(batch: Batch, candidates: Mapping[str, Batch]) -> Batch:
        contract = load_contract(Path(manifest[batch.table].folder))
        redone = load_landed(contract, batch) if contract.source else compute(contract, batch.run, candidates)
        return gate(contract, redone, candidates)

    order = [entry.name for entry in manifest.entries]
    return publish(sorted(batches, key=lambda b: order.index(b.table)), redo)
