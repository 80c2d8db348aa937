"""Tables by the names people type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.contracts import Contract


class NoSource(LakehouseError):
    """A table that loads from no source, where one that does is meant."""


def sourced(name: str = "") -> list[Contract]:
    """Contracts of the tables that load from a source: all, or the one called `layer.table` or just `table`.

    Raises ManifestError for an unknown name, NoSource for a table that is computed.
    """
    from lakehouse import manifest, paths
    from lakehouse.contracts import load_contract

    tables = manifest.load()
    with_source = [entry.name for entry in tables.entries if entry.connection]
    if name:
        short = [known for known in with_source if known.partition(".")[2] == name]
        found = short[0] if len(short) == 1 else tables[name].name
        if found not in with_source:
            raise NoSource(f"{found} is computed, it loads from no source.", f"Name one of: {', '.join(with_source)}.")
        with_source = [found]
    return [load_contract(paths.contract_folder(table)) for table in with_source]


def one(name: str) -> Contract:
    """The contract of one such table. Raises what `sourced` raises."""
    return sourced(name)[0]
