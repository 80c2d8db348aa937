"""Which tables a backfill is about, by the names people type."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.errors import LakehouseError
from lakehouse.manifest import Entry, Manifest


class NameUnclear(LakehouseError):
    """A name that means several tables, or none."""


def roots(manifest: Manifest, names: Sequence[str]) -> list[str]:
    """The tables meant by `names`: `orders` is the source table of that name, `silver.orders` that very table, and
    `bronze.*` what it says.

    A bare name that no source table has is that of the only table called so. Raises NameUnclear for several, and
    ManifestError for none, naming near ones.
    """
    found: list[str] = []
    for name in [part for text in names for part in text.replace(",", " ").split()]:
        if "*" in name:
            found += [entry.name for entry in manifest.select(name)]
            continue
        called = [entry for entry in manifest.entries if entry.table == name]
        meant = [entry for entry in called if entry.connection] or called
        if len(meant) > 1:
            known = ", ".join(entry.name for entry in meant)
            raise NameUnclear(f"'{name}' is the name of {len(meant)} tables.", f"Name one of: {known}.")
        found.append(meant[0].name if meant else manifest[name].name)
    if not found:
        raise NameUnclear("It is not said which table is meant.", "Name one: --table orders.")
    return list(dict.fromkeys(found))


def below(manifest: Manifest, names: Sequence[str]) -> list[Entry]:
    """`names`, every table that reads one of them, and the publish groups of these; inputs first."""
    down = manifest.downstream(names)
    whole = {member.name for name in down for member in manifest.group_of(name)}
    return [entry for entry in manifest.entries if entry.name in whole]
