"""The manifest: every table's place in the graph, compiled from the table folders, cached by content hash.

DAG files read this and nothing else, so parsing needs no YAML, no SQL parser and no database once it is compiled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from lakehouse.config import settings
from lakehouse.errors import LakehouseError

#: Layers in the order data flows.
LAYERS = ("bronze", "silver", "gold")
#: Raise when the compiled form changes, so that old caches are not read.
FORMAT = 5


class ManifestError(LakehouseError):
    """Table folders that do not fit together."""


@dataclass(frozen=True)
class Entry:
    """One table as the DAGs see it."""

    name: str
    layer: str
    table: str
    folder: str
    #: Tables its SQL reads.
    reads: tuple[str, ...]
    #: Further tables its rules look at: references, cross-table queries. Its gate waits for them.
    checks: tuple[str, ...]
    description: str
    owner: str
    owner_email: str
    tags: tuple[str, ...]
    strategy: str
    publish_group: str
    #: Airflow connection of the source, "" for a computed table.
    connection: str
    source_kind: str
    #: Seconds from a run's start within which the table's gate is due; 0: the contract declares none.
    gate_deadline: float
    #: Whether a stream lands its records; the daily run leaves it alone.
    streamed: bool = False
    #: Whether it goes to the warehouse.
    warehouse: bool = False


@dataclass(frozen=True)
class Manifest:
    """All tables, in an order where inputs come before their readers."""

    entries: tuple[Entry, ...]

    def __getitem__(self, name: str) -> Entry:
        """The entry of `layer.table`. Raises ManifestError naming near misses."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        near = [e.name for e in self.entries if name.rpartition(".")[2] in e.name]
        known = ", ".join(near or [e.name for e in self.entries])
        raise ManifestError(f"There is no table '{name}'.", f"Did you mean: {known}?")

    def layer(self, layer: str) -> list[Entry]:
        """The tables of one layer, inputs first."""
        return [entry for entry in self.entries if entry.layer == layer]

    def scheduled(self) -> Manifest:
        """The tables of the daily run: all but those that are streamed."""
        return Manifest(tuple(entry for entry in self.entries if not entry.streamed))

    def warehoused(self) -> Manifest:
        """The tables that go to the warehouse."""
        return Manifest(tuple(entry for entry in self.entries if entry.warehouse))

    def streamed(self) -> Manifest:
        """The tables that a stream lands."""
        return Manifest(tuple(entry for entry in self.entries if entry.streamed))

    def group_of(self, name: str) -> list[Entry]:
        """The tables published together with `name`, itself included, inputs first."""
        entry = self[name]
        if not entry.publish_group:
            return [entry]
        return [e for e in self.entries if e.publish_group == entry.publish_group]

    def upstream(self, names: Iterable[str]) -> set[str]:
        """`names` and everything they read, however indirectly."""
        found: set[str] = set()
        todo = list(names)
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += [*self[name].reads, *self[name].checks]
        return found

    def downstream(self, names: Iterable[str]) -> set[str]:
        """`names` and every table whose SQL reads one of them, however indirectly."""
        found = set(names)
        for entry in self.entries:
            # Inputs come before their readers: once through is enough.
            if found & set(entry.reads):
                found.add(entry.name)
        return found

    def select(self, selector: str) -> list[Entry]:
        """Tables that a selector names: `gold.fact_sales`, `bronze.*`, `+gold.fact_sales` (with all it needs), `*`.

        Streamed tables are chosen by their names only. Several selectors are separated by spaces or commas. Raises
        ManifestError where one names nothing.
        """
        chosen: set[str] = set()
        for part in selector.replace(",", " ").split():
            pattern = part.removeprefix("+")
            layer, _, table = pattern.partition(".")
            if pattern in ("*", "*.*"):
                names = [e.name for e in self.scheduled().entries]
            elif table == "*" and layer in LAYERS:
                names = [e.name for e in self.layer(layer) if not e.streamed]
            else:
                names = [self[pattern].name]
            needed = self.upstream(names) if part.startswith("+") else set()
            chosen |= {*names, *(name for name in needed if not self[name].streamed)}
        return [entry for entry in self.entries if entry.name in chosen]


_TUPLES = ("reads", "checks", "tags")


def folders(root: Path) -> list[Path]:
    """The table folders under `root`, sorted. Raises ManifestError where there are none."""
    found = sorted(p for layer in LAYERS for p in (root / layer).glob("*") if p.is_dir() and not p.name.startswith("."))
    if not found:
        raise ManifestError(
            f"No table folder under {root}.", "Set LAKEHOUSE_TABLES to a folder with bronze/, silver/ or gold/ in it."
        )
    return found


def load(root: Path | None = None) -> Manifest:
    """The manifest of `root` (default: the configured tables), compiled when a file changed since the last time."""
    root = root or settings().tables
    where = folders(root)
    digest = hashlib.sha256(f"{FORMAT}|{root}".encode())
    for folder in where:
        for file in ("contract.odcs.yaml", "transform.sql"):
            path = folder / file
            digest.update(f"|{folder.parent.name}/{folder.name}/{file}|".encode())
            digest.update(path.read_bytes() if path.is_file() else b"absent")
    cached = settings().cache / "manifest" / f"{digest.hexdigest()[:32]}.json"
    if cached.is_file():
        raw = json.loads(cached.read_text())
        return Manifest(tuple(Entry(**{**e, **{name: tuple(e[name]) for name in _TUPLES}}) for e in raw))
    manifest = compile_manifest(where)
    cached.parent.mkdir(parents=True, exist_ok=True)
    draft = cached.with_suffix(f".{digest.hexdigest()[32:40]}.draft")
    draft.write_text(json.dumps([asdict(entry) for entry in manifest.entries]))
    draft.replace(cached)
    return manifest


def compile_manifest(where: list[Path]) -> Manifest:
    """Parse every folder. Raises ContractError, SqlError, or ManifestError for a graph that does not fit."""
    from lakehouse.contracts import load_contract
    from lakehouse.transform.sql import parse_transform

    entries: dict[str, Entry] = {}
    keys: dict[str, str] = {}
    for folder in where:
        contract = load_contract(folder)
        if contract.source:
            other = keys.setdefault(contract.source.watermark_key, contract.name)
            if other != contract.name:
                raise ManifestError(
                    f"{contract.name} and {other} have the watermark key {contract.source.watermark_key} in common.",
                    f"Give {contract.path} a source.watermarkKey of its own.",
                )
        reads = () if contract.source else parse_transform(folder).reads
        entries[contract.name] = Entry(
            name=contract.name,
            layer=contract.layer,
            table=contract.table,
            folder=str(folder),
            reads=reads,
            checks=tuple(sorted({table for rule in contract.rules for table in rule.tables} - {contract.name, *reads})),
            description=contract.description,
            owner=contract.owner,
            owner_email=contract.owner_email,
            tags=contract.tags,
            strategy=contract.strategy,
            publish_group=contract.publish_group,
            connection=contract.source.connection if contract.source else "",
            source_kind=contract.source.kind if contract.source else "",
            gate_deadline=contract.gate_deadline.total_seconds() if contract.gate_deadline else 0.0,
            streamed=bool(contract.source and contract.source.streamed),
            warehouse=contract.warehouse,
        )
    for entry in entries.values():
        for read in (*entry.reads, *entry.checks):
            if read not in entries:
                where_read = "transform.sql" if read in entry.reads else "contract.odcs.yaml"
                raise ManifestError(
                    f"{entry.folder}/{where_read} reads {read}, which has no folder.",
                    f"Add {read.replace('.', '/')}/contract.odcs.yaml, or mend the name.",
                )
    return Manifest(tuple(entries[name] for name in _ordered(entries)))


def _ordered(entries: dict[str, Entry]) -> list[str]:
    """Inputs before readers, and otherwise layer by layer in alphabetical order."""
    sorter = TopologicalSorter({name: {*entry.reads, *entry.checks} for name, entry in sorted(entries.items())})
    try:
        sorter.prepare()
    except CycleError as error:
        raise ManifestError(
            f"Tables read each other in a circle: {' -> '.join(error.args[1])}.", "Break it."
        ) from error
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda name: (LAYERS.index(entries[name].layer), name))
        order += ready
        sorter.done(*ready)
    return order
