"""What a backfill would do, table by table: windows to load, tables to compute and how, sizes, time. Changes nothing.

Reads the ledger, the Delta logs and the table folders; no Spark.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from lakehouse import paths
from lakehouse.backfill.names import below, roots
from lakehouse.backfill.request import Request, check
from lakehouse.contracts import Contract, load_contract
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import covered, last_published
from lakehouse.ledger.windows import Window, chunks, subtract
from lakehouse.manifest import Entry, Manifest
from lakehouse.pipeline.reconcile import reconciled_events
from lakehouse.transform.restate import Restate

#: Loads of a computed table that its time is judged by.
LATELY = 5


@dataclass(frozen=True)
class Step:
    """One table of the plan, and its size today."""

    table: str
    #: What is done: "load", "compute" or "" for nothing.
    action: str
    why: str
    rows: int
    files: int
    bytes: int
    #: By its earlier loads; None where there are none.
    seconds: float | None
    windows: tuple[Window, ...] = ()

    def to_row(self) -> dict[str, Any]:
        """As one flat, JSON-ready row."""
        spans = ", ".join(f"{w.low:%Y-%m-%d %H:%M} .. {w.high:%Y-%m-%d %H:%M}" for w in self.windows)
        about = None if self.seconds is None else round(self.seconds, 1)
        row = {"table": self.table, "does": self.action or "nothing", "why": self.why, "windows": spans}
        return {**row, "rows": self.rows, "files": self.files, "bytes": self.bytes, "about_seconds": about}


@dataclass(frozen=True)
class Plan:
    """The tables of a backfill, inputs first. `restate` is None where only what is new is computed."""

    request: Request
    steps: tuple[Step, ...]
    restate: Restate | None
    #: {table: (contract, sql) fingerprint}: with another one it is another backfill.
    fingerprints: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that something is done to."""
        return tuple(step.table for step in self.steps if step.action)


def plan(manifest: Manifest, request: Request) -> Plan:
    """What `request` comes to now. Raises BackfillRefused, NameUnclear, ManifestError."""
    named = roots(manifest, request.tables)
    check(manifest, request, named)
    restate = Restate(request.window, request.as_of) if request.origin == "bronze" else None
    steps, prints = [], {}
    for entry in below(manifest, named):
        contract = load_contract(paths.contract_folder(entry.name))
        prints[entry.name] = _fingerprints(contract)
        events = reconciled_events(entry.name)
        if contract.source:
            steps.append(_bronze(contract, request, events))
        else:
            steps.append(_computed(entry, contract, restate, events))
    return Plan(request, tuple(steps), restate, prints)


def _bronze(contract: Contract, request: Request, events: list[Event]) -> Step:
    source = contract.source
    assert source
    if request.origin == "bronze":
        last = last_published(events)
        changed = last is not None and last.contract != contract.fingerprint
        why = "read as it landed"
        if changed:
            why += "; its contract changed: `lakehouse replay` judges landed rows by the new one"
        return _step(contract.name, "", why, None)
    whole = Window(max(request.window.low, source.initial_value), request.window.high)
    gaps = subtract(whole, covered(events)) if whole.low < whole.high else []
    # A staged table is one batch: what is covered between two gaps is read again, and known.
    spans = [Window(gaps[0].low, gaps[-1].high)] if gaps and request.stage else gaps
    windows = tuple(spans if request.stage else (piece for gap in gaps for piece in chunks(gap, request.chunk)))
    if not windows:
        return _step(contract.name, "", "the ledger has no gap in the range", None)
    return _step(contract.name, "load", "gaps of the ledger", _load_seconds(events, windows), windows)


def _computed(entry: Entry, contract: Contract, restate: Restate | None, events: list[Event]) -> Step:
    lengths = sorted(seconds for event, seconds in _lengths(events)[-LATELY:])
    seconds = lengths[len(lengths) // 2] if lengths else None
    if restate is None:
        return _step(entry.name, "compute", "what the loaded rows change", seconds)
    return _step(entry.name, "compute", _how(contract, restate, events), seconds)


def _how(contract: Contract, restate: Restate, events: list[Event]) -> str:
    """By keys or in full, as `lakehouse.pipeline.transform.compute` will decide."""
    from lakehouse.delta import latest_version
    from lakehouse.transform import increment
    from lakehouse.transform import restate as ranges
    from lakehouse.transform.inputs import InputMissing, resolve
    from lakehouse.transform.sql import parse_transform

    transform, last = parse_transform(contract.path.parent), last_published(events)
    try:
        inputs = resolve(contract.name, transform.reads, {}, restate.as_of)
        found = increment.plan(contract, transform, inputs, last, latest_version(paths.table(contract.name)), 0, True)
        reason = found if isinstance(found, str) else ranges.problem(found, inputs, {}, restate)
    except InputMissing as missing:
        return missing.what
    if reason:
        return f"in full: {reason}"
    changed = last is not None and (last.contract, last.sql) != (contract.fingerprint, transform.fingerprint)
    return "keys of the range" + ("; the rest stays as it was, and stale, until its next run" if changed else "")


def _fingerprints(contract: Contract) -> tuple[str, str]:
    from lakehouse.transform.sql import parse_transform

    return contract.fingerprint, "" if contract.source else parse_transform(contract.path.parent).fingerprint


def _step(table: str, action: str, why: str, seconds: float | None, windows: tuple[Window, ...] = ()) -> Step:
    from lakehouse.delta import table_stats

    stats = table_stats(paths.table(table))
    return Step(table, action, why, stats.rows, stats.files, stats.bytes, seconds, windows)


def _lengths(events: list[Event]) -> list[tuple[Event, float]]:
    """Loads that were published, oldest first, with the seconds from their start to their publish."""
    started = {(e.batch_id, e.load): e.event_ts for e in events if e.event == "started"}
    return [
        (event, (event.event_ts - started[event.batch_id, event.load]).total_seconds())
        for event in events
        if event.event == "published" and (event.batch_id, event.load) in started
    ]


def _load_seconds(events: list[Event], windows: tuple[Window, ...]) -> float | None:
    """As long as earlier loads took for so many days."""
    lengths = [(event, seconds) for event, seconds in _lengths(events) if event.windows]
    days = sum((w.high - w.low) / timedelta(days=1) for event, _ in lengths for w in event.windows)
    wanted = sum((w.high - w.low) / timedelta(days=1) for w in windows)
    return sum(seconds for _, seconds in lengths) / days * wanted if days else None
