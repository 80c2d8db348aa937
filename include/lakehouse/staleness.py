"""Which tables are not what their folders say: fingerprints on record against contract and SQL as they are (OPS-8).

Which are computed in full, and not by what changed in the tables they read, is told too; and what it costs to restate
them: every table that reads them, with its rows and files. Reads ledger and Delta logs; no Spark, nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse import ledger, paths
from lakehouse.contracts import load_contract
from lakehouse.ledger.events import Event
from lakehouse.ledger.state import last_published
from lakehouse.manifest import Entry, Manifest


@dataclass(frozen=True)
class Stale:
    """One table that is to be made anew, or is by its next run, and its size today."""

    table: str
    #: What changed in its own folder: new, contract, sql. None of it: only what it reads is stale.
    reasons: tuple[str, ...]
    #: Stale tables that it reads, however indirectly.
    because: tuple[str, ...]
    rows: int
    files: int
    bytes: int
    #: Why its next run computes it in full; "" where it follows what changes.
    in_full: str = ""

    def to_row(self) -> dict[str, Any]:
        """As one flat, JSON-ready row."""
        why = " and ".join(self.reasons) or ("reads a stale table" if self.because else "")
        row = {"table": self.table, "why": why, "because": ", ".join(self.because), "in_full": self.in_full}
        return {**row, "rows": self.rows, "files": self.files, "bytes": self.bytes}


def stale(manifest: Manifest, entries: Sequence[Entry] | None = None) -> list[Stale]:
    """Tables (of `entries`; default: all) whose folder changed since they were last published, all their readers, and
    those of `entries` that their next run computes in full.

    Inputs come before their readers. A table that was never published is stale, but makes no reader stale: there is
    nothing to restate. Raises ContractError or SqlError for a folder that cannot be read.
    """
    from lakehouse.delta import table_stats

    chosen = {entry.name for entry in entries or manifest.entries}
    events: dict[str, list[Event]] = {}
    for event in ledger.read():
        events.setdefault(event.table, []).append(event)
    changed = {entry.name: _changed(entry, events.get(entry.name, ())) for entry in manifest.entries}
    roots = {name for name, reasons in changed.items() if reasons and reasons != ("new",)} & chosen
    found = []
    for entry in manifest.entries:
        because = tuple(sorted((_read(manifest, entry) - {entry.name}) & roots))
        reasons = changed[entry.name] if entry.name in chosen else ()
        in_full = _in_full(entry.name, events.get(entry.name, [])) if entry.name in chosen else ""
        if reasons or in_full or (because and changed[entry.name] != ("new",)):
            stats = table_stats(paths.table(entry.name))
            found.append(Stale(entry.name, reasons, because, stats.rows, stats.files, stats.bytes, in_full))
    return found


def _in_full(table: str, events: Sequence[Event]) -> str:
    """Why the next run of a computed table does not follow what changed; "" where it does, or lacks an input yet.

    That small inputs are read in full all the same, for it costs less, is no reason here.
    """
    from lakehouse.delta import latest_version
    from lakehouse.transform import increment
    from lakehouse.transform.inputs import InputMissing, resolve
    from lakehouse.transform.sql import parse_transform

    contract = load_contract(paths.contract_folder(table))
    if contract.source:
        return ""
    transform = parse_transform(contract.path.parent)
    try:
        inputs = resolve(table, transform.reads, {})
    except InputMissing:
        return ""
    last, latest = last_published(list(events)), latest_version(paths.table(table))
    found = increment.plan(contract, transform, inputs, last, latest, 0)
    return found if isinstance(found, str) else ""


def _changed(entry: Entry, events: Iterable[Event]) -> tuple[str, ...]:
    """What of the table's folder is not what its last publish was made by."""
    from lakehouse.transform.sql import parse_transform

    last = last_published(list(events))
    if last is None:
        return ("new",)
    folder = paths.contract_folder(entry.name)
    contract = load_contract(folder)
    now = {"contract": contract.fingerprint, "sql": "" if contract.source else parse_transform(folder).fingerprint}
    return tuple(name for name, fingerprint in now.items() if getattr(last, name) != fingerprint)


def _read(manifest: Manifest, entry: Entry) -> set[str]:
    """Everything the table's SQL reads, however indirectly: what its rows are made of."""
    found: set[str] = set()
    todo = [entry.name]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += manifest[name].reads
    return found
