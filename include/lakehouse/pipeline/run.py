"""Running tables without Airflow: the same steps, one table after the other, inputs first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakehouse.bronze.load import LoadFailed
from lakehouse.contracts import Contract, load_contract
from lakehouse.errors import LakehouseError
from lakehouse.manifest import Entry, Manifest
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.extract import extract
from lakehouse.pipeline.gate import gate
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.transform import compute, load_landed
from lakehouse.pipeline.watermark import advance_watermark
from lakehouse.quality.result import GateFailed

Progress = Callable[[str, str], None]


class TablesHeld(LakehouseError):
    """Several tables were held. `errors` are theirs, by table."""

    def __init__(self, errors: Mapping[str, LakehouseError]) -> None:
        """What and remedy of each, one after the other."""
        super().__init__("\n".join(str(error) for error in errors.values()), "Mend them one by one, inputs first.")
        self.errors = dict(errors)


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
    group brings the rest of its group along: they are published together or not at all. A table that is held stops its
    group and whatever reads it; all others run, and then its error is raised: GateFailed, LoadFailed, or TablesHeld
    where there are several.
    """
    names = {member.name for entry in entries for member in manifest.group_of(entry.name)}
    done: list[Batch] = []
    pending: dict[str, list[Batch]] = {}
    stopped: set[str] = set()
    held: dict[str, LakehouseError] = {}
    for entry in (e for e in manifest.entries if e.name in names):
        if stopped & {*entry.reads, *entry.checks, entry.publish_group or entry.name}:
            progress(entry.name, "not run")
            stopped |= {entry.name, entry.publish_group or entry.name}
            continue
        contract = load_contract(Path(entry.folder))
        group = entry.publish_group or entry.name
        candidates = {b.table: b for b in pending.get(group, [])}
        try:
            batch = _audited(entry, contract, run, candidates, connect, pii_key, progress)
            pending.setdefault(group, []).append(batch)
            if len(pending[group]) < len(manifest.group_of(entry.name)):
                continue
            progress(group, "publish")
            done += publish_group(manifest, pending.pop(group))
        except (GateFailed, LoadFailed) as error:
            held[entry.name] = error
            stopped |= {entry.name, group}
            continue
        if contract.source:
            advance_watermark(contract, batch)
    if len(held) == 1:
        raise next(iter(held.values()))
    if held:
        raise TablesHeld(held)
    return done


def _audited(
    entry: Entry,
    contract: Contract,
    run: Run,
    candidates: Mapping[str, Batch],
    connect: Callable[[str], Any],
    pii_key: Callable[[], bytes],
    progress: Progress,
) -> Batch:
    """One table, up to and with its gate."""
    if contract.source:
        progress(entry.name, "extract")
        batch = extract(contract, run, lambda: connect(entry.connection), pii_key)
        progress(entry.name, "transform")
        batch = load_landed(contract, batch)
    else:
        progress(entry.name, "transform")
        batch = compute(contract, run, candidates)
    progress(entry.name, "gate")
    return gate(contract, batch, candidates)


def publish_group(manifest: Manifest, batches: Sequence[Batch]) -> list[Batch]:
    """Publish audited batches that belong together, inputs first."""

    def redo(batch: Batch, candidates: Mapping[str, Batch]) -> Batch:
        contract = load_contract(Path(manifest[batch.table].folder))
        redone = load_landed(contract, batch) if contract.source else compute(contract, batch.run, candidates)
        return gate(contract, redone, candidates)

    order = [entry.name for entry in manifest.entries]
    return publish(sorted(batches, key=lambda b: order.index(b.table)), redo)
