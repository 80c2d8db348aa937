"""Which tables are not what their folders say: fingerprints on record against contract and SQL as they are (OPS-8).

And what it costs to restate them: every table that reads them, with its rows and files. Reads the ledger and Delta
logs; no Spark, nothing is changed.
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
    """One table that is to be made anew, and its size today."""

    table: str
    #: What changed in its own folder: new, contract, sql. None of it: only what it reads is stale.
    reasons: tuple[str, ...]
    #: Stale tables that it reads, however indirectly.
    because: tuple[str, ...]
    rows: int
    files: int
    bytes: int

    def to_row(self) -> dict[str, Any]:
        """As one flat, JSON-ready row."""
        why = " and ".join(self.reasons) or "reads a stale table"
        row = {"table": self.table, "why": why, "because": ", ".join(self.because)}
        return {**row, "rows": self.rows, "files": self.files, "bytes": self.bytes}


def stale(manifest: Manifest, entries: Sequence[Entry] | None = None) -> list[Stale]:
    """Tables (of `entries`; default: all) whose folder changed since they were last published, and all their readers.

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
        if reasons or (because and changed[entry.name] != ("new",)):
            stats = table_stats(paths.table(entry.name))
            found.append(Stale(entry.name, reasons, because, stats.rows, stats.files, stats.bytes))
    return found


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
