"""Which tables go to the warehouse, and how far behind each is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse import manifest, paths
from lakehouse.contracts import Contract, load_contract
from lakehouse.warehouse import lake
from lakehouse.warehouse.faults import NotPublished, named
from lakehouse.warehouse.transfer import Attempt


def chosen(selectors: Sequence[str]) -> list[Contract]:
    """Contracts of the tables that `selectors` name, all that go to the warehouse where none is given.

    A table that is named and does not go there is refused when it is published. Raises ManifestError.
    """
    tables = manifest.load()
    known = tables.warehoused().entries
    entries = tables.select(" ".join(selectors)) if selectors else known
    if any("*" in selector for selector in selectors):
        entries = [entry for entry in entries if entry in known]
    return [load_contract(paths.contract_folder(entry.name)) for entry in entries]


def standing(contract: Contract, connection: Any) -> dict[str, Any]:
    """Version and rows here and there, and what the next publish would send: nothing, changes, or whole with the why.

    Changes nothing. Raises WarehouseFailed.
    """
    from lakehouse.delta import latest_version, table_stats

    with named(contract.name):
        attempt = Attempt(contract, connection)
        held, rows, at = attempt.look()
    stats = table_stats(paths.table(contract.name))
    try:
        load = lake.plan(contract, held)
        following = f"whole: {load.why}" if load.why else "changes" if load.version > load.since else "nothing"
    except NotPublished as error:
        following = f"nothing: {error.what}"
    return {
        "table": contract.name,
        "target": attempt.place.target,
        "version": latest_version(paths.table(contract.name)),
        "rows": stats.rows,
        "version_there": held.version if held.version >= 0 else None,
        "rows_there": rows,
        "published_at": at,
        "next": following,
    }
