"""Running tables without Airflow: the same steps, one table after the other, inputs first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakehouse.bronze.load import LoadFailed
from lakehouse.contracts import Contract, load_contract
from lakehouse.errors import LakehouseError
from lakehouse.manifest import Entry, Manifest
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.extract import extract
from lakehouse.pipeline.gate import Tell, gate
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.transform import compute, load_landed
from lakehouse.pipeline.watermark import advance_watermark
from lakehouse.quality.result import GateFailed
from lakehouse.stream.land import stream
from lakehouse.transform.restate import Restate

Progress = Callable[[str, str], None]


class TablesHeld(LakehouseError):
    """Several tables were held. `errors` are theirs, by table."""

    def __init__(self, errors: Mapping[str, LakehouseError]) -> None:
        """What and remedy of each, one after the other."""
        super().__init__("\n".join(str(error) for error in errors.values()), "Mend them one by one, inputs first.")
        self.errors = dict(errors)


@dataclass(frozen=True)
class How:
    """What a run does otherwise than load and compute what is due, once, and publish it."""

    #: Of bronze tables: the runs that load each, one after the other. A table that is not named: the run itself.
    pieces: Mapping[str, Sequence[Run]] = field(default_factory=dict)
    #: Computed tables compute the keys of this range anew, whether or not their inputs changed.
    restate: Restate | None = None
    #: Everything is left on branches, audited, and read there by the tables below.
    stage: bool = False


def run_tables(
    manifest: Manifest,
    entries: Sequence[Entry],
    run: Run,
    connect: Callable[[str], Any],
    pii_key: Callable[[], bytes],
    progress: Progress,
    how: How = How(),
) -> list[Batch]:
    """Run `entries` and publish them, groups whole; the published batches, or those left on branches.

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
        pieces = how.pieces.get(entry.name, (run,))
        for number, piece in enumerate(pieces, 1):
            tell = _chunk(progress, number, len(pieces))
            together = pending.values() if how.stage else [pending.get(group, [])]
            candidates = {b.table: b for batches in together for b in batches}
            try:
                batch = _audited(entry, contract, piece, candidates, connect, pii_key, tell, how.restate)
                pending.setdefault(group, []).append(batch)
                if how.stage or len(pending[group]) < len(manifest.group_of(entry.name)):
                    continue
                tell(group, "publish")
                done += publish_group(manifest, pending.pop(group), how.restate)
            except (GateFailed, LoadFailed) as error:
                held[entry.name] = error
                stopped |= {entry.name, group}
                break
            if contract.source:
                advance_watermark(contract, batch)
    if len(held) == 1:
        raise next(iter(held.values()))
    if held:
        raise TablesHeld(held)
    return [batch for batches in pending.values() for batch in batches] if how.stage else done


def _chunk(progress: Progress, number: int, chunks: int) -> Progress:
    """Tells which of several chunks of a table a step is at."""
    if chunks == 1:
        return progress
    return lambda table, step: progress(table, f"chunk {number} of {chunks}, {step}")


def _audited(
    entry: Entry,
    contract: Contract,
    run: Run,
    candidates: Mapping[str, Batch],
    connect: Callable[[str], Any],
    pii_key: Callable[[], bytes],
    progress: Progress,
    restate: Restate | None,
) -> Batch:
    """One table, up to and with its gate."""
    if contract.source:
        if contract.source.streamed:
            progress(entry.name, "stream")
            with closing(connect(entry.connection)) as broker:
                stream(contract, contract.source, broker)
        progress(entry.name, "extract")
        batch = extract(contract, run, lambda: connect(entry.connection), pii_key)
        progress(entry.name, "transform")
        batch = load_landed(contract, batch)
    else:
        progress(entry.name, "transform")
        batch = compute(contract, run, candidates, restate)
    progress(entry.name, "gate")
    return gate(contract, batch, candidates)


def publish_group(
    manifest: Manifest,
    batches: Sequence[Batch],
    restate: Restate | None = None,
    tell: Tell = lambda contract, batch, result: None,
) -> list[Batch]:
    """Publish audited batches that belong together, inputs first. `restate` is what they were computed with.

    `tell` hears of the gates of those that have to be worked and audited again.
    """

    def redo(batch: Batch, candidates: Mapping[str, Batch]) -> Batch:
        contract = load_contract(Path(manifest[batch.table].folder))
        if contract.source:
            return gate(contract, load_landed(contract, batch), candidates, tell)
        redone = compute(contract, batch.run, candidates, restate)
        return gate(contract, redone, candidates, tell)

    order = [entry.name for entry in manifest.entries]
    return publish(sorted(batches, key=lambda b: order.index(b.table)), redo)
