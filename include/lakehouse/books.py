"""The books (CON-5): what became of every extracted row, by load and in total, held against the tables. No Spark.

extracted = inserted + updated + duplicates + superseded + quarantined + discarded + held. The ledger tells the counts;
the rows of a bronze table by their `_batch_id`, and those of quarantine by batch and load, must agree with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from lakehouse import paths, quarantine
from lakehouse.ingest.landing import rows_in
from lakehouse.ledger.events import Event
from lakehouse.pipeline.reconcile import reconciled_events

#: What may become of a row.
PARTS = ("inserted", "updated", "duplicates", "superseded", "quarantined", "discarded", "held")


@dataclass(frozen=True)
class Load:
    """One load in the books.

    `state`: published, reverted, held (by the gate), failed (above the threshold), open (no end on record), or
    uncounted (published, its counts gone with the log: then they are what table, quarantine and landing tell).
    """

    table: str
    batch_id: str
    load: int
    kind: str
    state: str
    extracted: int
    #: {part: rows}, every part of PARTS.
    parts: dict[str, int]
    #: Rows in quarantine under this load: those that attempts before the last one set aside are among them.
    set_aside: int = 0

    @property
    def difference(self) -> int:
        """Extracted rows of which the parts do not tell."""
        return self.extracted - sum(self.parts.values())


@dataclass(frozen=True)
class Books:
    """The books of one table."""

    table: str
    loads: tuple[Load, ...]
    #: Rows of quarantine by status: open, replayed, discarded.
    quarantine: dict[str, int] = field(default_factory=dict)
    #: What does not balance, a sentence each.
    faults: tuple[str, ...] = ()

    @property
    def total(self) -> Load:
        """All loads summed up."""
        parts = {part: sum(load.parts[part] for load in self.loads) for part in PARTS}
        return Load(self.table, "", len(self.loads), "", "total", sum(load.extracted for load in self.loads), parts)


def books(table: str) -> Books:
    """The books of a bronze table, after ledger and table are reconciled."""
    from lakehouse.delta import reverted_versions

    events = reconciled_events(table)
    rows = quarantine.kept(quarantine.Choice(table))
    aside = Counter((row.batch_id, row.load) for row in rows) + quarantine.failed_again(table)
    there = _rows_by(paths.table(table), "_batch_id")
    loads = tuple(_loads(events, reverted_versions(paths.table(table))))
    left = there - _told(loads)
    loads = tuple(
        _recounted(load, left[load.batch_id], aside[load.batch_id, load.load]) if load.state == "uncounted" else load
        for load in loads
    )
    faults = [*_unbalanced(loads), *_stray(table, loads, there), *_unlike_quarantine(loads, aside)]
    return Books(table, loads, {s: sum(row.status == s for row in rows) for s in quarantine.STATUSES}, tuple(faults))


def _loads(events: Sequence[Event], reverted: set[int]) -> Iterable[Load]:
    """Every load as it ended, in the order they began."""
    last: dict[tuple[str, int], Event] = {}
    for event in events:
        key = (event.batch_id, event.load)
        if event.event in ("started", "published", "held", "failed") and not (
            key in last and last[key].event == "published"
        ):
            last[key] = event
    for (batch_id, load), event in last.items():
        counts, state = event.counts, str(event.event)
        parts = {part: counts.get(part, 0) for part in PARTS}
        extracted = counts.get("extracted", 0)
        if state == "held":
            parts |= {"held": parts["inserted"] + parts["superseded"], "inserted": 0, "superseded": 0}
        elif state == "failed":
            parts["held"] = extracted - parts["quarantined"] - parts["discarded"]
        elif state == "published" and "extracted" not in counts:
            state = "uncounted"
        elif state == "published" and event.version in reverted:
            state = "reverted"
        aside = counts.get("set_aside", parts["quarantined"])
        state = "open" if state == "started" else state
        yield Load(event.table, batch_id, load, event.kind, state, extracted, parts, aside)


def _unbalanced(loads: Sequence[Load]) -> Iterable[str]:
    for load in loads:
        if load.difference or min(load.parts.values()) < 0:
            told = ", ".join(f"{name} {rows}" for name, rows in load.parts.items() if rows)
            yield f"{load.batch_id} load {load.load}: extracted {load.extracted}, but {told or 'nothing'}"


def _recounted(load: Load, inserted: int, aside: int) -> Load:
    """The load by what can still be counted."""
    landed = rows_in(paths.landing(load.table, load.batch_id, load.load))
    extracted = max(landed, inserted + aside)
    parts = {"inserted": inserted, "quarantined": aside, "duplicates": extracted - inserted - aside}
    return replace(load, extracted=extracted, parts={**load.parts, **parts}, set_aside=aside)


def _told(loads: Iterable[Load]) -> Counter[str]:
    """{batch: rows that its loads put into the table and nobody took back}"""
    told: Counter[str] = Counter()
    for load in loads:
        if load.state in ("published", "uncounted"):
            told[load.batch_id] += load.parts["inserted"] + load.parts["superseded"]
    return told


def _stray(table: str, loads: Sequence[Load], there: Counter[str]) -> Iterable[str]:
    """Batches whose rows in the table are not as many as the ledger says."""
    told = _told(loads)
    for batch_id in sorted(told.keys() | there.keys()):
        if told[batch_id] != there[batch_id]:
            yield f"{batch_id}: the ledger says {told[batch_id]} rows, {table} holds {there[batch_id]}"


def _unlike_quarantine(loads: Sequence[Load], there: Counter[tuple[str, int]]) -> Iterable[str]:
    """Loads whose rows in quarantine are not as many as the ledger says. A replay's are those it judged bad again."""
    told = {(load.batch_id, load.load): load for load in loads}
    for key in sorted(told.keys() | there.keys()):
        load = told.get(key)
        said = load.set_aside if load else 0
        if said != there[key] and not (load and load.state == "open"):
            yield f"{key[0]} load {key[1]}: the ledger says {said} rows quarantined, quarantine holds {there[key]}"


def _rows_by(path: str, column: str) -> Counter[str]:
    """Rows of the table at `path` by the text in `column`."""
    from lakehouse.delta import dataset

    found: Counter[str] = Counter()
    source = dataset(path)
    for batch in source.to_batches(columns=[column]) if source else ():
        for entry in batch.column(0).value_counts().to_pylist():
            found[str(entry["values"])] += int(entry["counts"])
    return found
