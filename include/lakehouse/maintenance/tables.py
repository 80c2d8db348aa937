"""The upkeep of one table, step after step: optimize, VACUUM, dead branches, landing. Each may be the last one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from lakehouse import paths
from lakehouse.contracts import load_contract
from lakehouse.contracts.layout import Layout
from lakehouse.maintenance.landing import RETENTION, expire_landing, expire_records
from lakehouse.maintenance.optimize import Optimized, optimize
from lakehouse.maintenance.vacuum import LEAST_HOURS, vacuum
from lakehouse.manifest import Manifest

#: Operational tables that grow by many small files.
OPERATIONAL = ("ops.ledger", "ops.quality", "ops.quarantine")


@dataclass(frozen=True)
class Upkeep:
    """What was done to one table, or in a rehearsal would be."""

    table: str
    files: Optimized
    vacuumed: int
    #: Dead branches, and files of published ones that no version needs any more.
    branches: int
    branch_files: int
    landing: int
    seconds: float

    def to_row(self) -> dict[str, Any]:
        """As one flat, JSON-ready row."""
        done = self.files
        row: dict[str, Any] = {"table": self.table, "state": done.state, "version": done.version}
        for when in ("before", "after"):
            row |= {f"{key}_{when}": value for key, value in asdict(getattr(done, when)).items()}
        row |= {"partitions": done.partitions, "skipped": done.skipped, "vacuumed": self.vacuumed}
        row |= {"branches": self.branches, "branch_files": self.branch_files, "landing": self.landing}
        return {**row, "seconds": round(self.seconds, 2)}


def selected(manifest: Manifest, selector: str) -> list[str]:
    """Names of the tables that a selector names (see Manifest.select); `*` and `ops.*` bring operational ones.

    Streamed tables are among those of a layer: they need upkeep as others do, and their records most of all.
    Raises ManifestError where a part names nothing.
    """
    parts = selector.replace(",", " ").split()
    own = [name for name in OPERATIONAL if {"*", "*.*", "ops.*", name} & set(parts)]
    others = " ".join(part for part in parts if part != "ops.*" and part not in OPERATIONAL)
    layers = {pattern.partition(".")[0] for pattern in parts if pattern.endswith("*")}
    chosen = {entry.name for entry in manifest.select(others)}
    chosen |= {entry.name for entry in manifest.streamed().entries if layers & {"*", entry.layer}}
    return [*(entry.name for entry in manifest.entries if entry.name in chosen), *own]


def maintain(
    name: str, zorder: Sequence[str] | None = None, *, hours: int = LEAST_HOURS, dry_run: bool = False
) -> Upkeep:
    """Optimize `layer.table` by `zorder` (default: its contract's layout), then delete what nobody needs.

    `hours` (168 or more) is how long removed files, and branches in which nothing is written, are kept.
    Raises what `optimize` and `vacuum` raise.
    """
    from lakehouse.delta import collect

    began = time.monotonic()
    contract = None if name.startswith("ops.") else load_contract(paths.contract_folder(name))
    layout = contract.layout if contract else Layout()
    columns = layout.zorder_by if zorder is None else tuple(zorder)
    files = optimize(name, columns, target=layout.target, dry_run=dry_run)
    vacuumed = vacuum(name, hours, dry_run=dry_run)
    collected = collect(paths.table(name), timedelta(hours=hours), dry_run=dry_run)
    landing = 0
    if contract and contract.source:
        kept = RETENTION if contract.landing_retention is None else contract.landing_retention
        landing = expire_landing(name, kept, dry_run=dry_run)
        if contract.source.streamed:
            landing += expire_records(name, kept, dry_run=dry_run)
    return Upkeep(name, files, vacuumed, collected.branches, collected.files, landing, time.monotonic() - began)
