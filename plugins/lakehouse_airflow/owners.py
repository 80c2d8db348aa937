"""Whom a mail about some tasks goes to: the owners that the contracts of their tables name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse.manifest import Manifest


def owners(manifest: Manifest) -> dict[str, str]:
    """{task group of a table: its owner's address}."""
    return {entry.name.replace(".", "_"): entry.owner_email for entry in manifest.entries}


def addressed(task_ids: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """The owners of the tables that `task_ids` work on; all of `known` where a task, or no task, belongs to none."""
    found = {known.get(task_id.partition(".")[0]) for task_id in task_ids} or {None}
    return sorted({*known.values()} if None in found else {address for address in found if address})


def owner_links(manifest: Manifest) -> dict[str, str]:
    """What a click on a task's owner opens: a mail to whoever owns most tables."""
    known = Counter(entry.owner_email for entry in manifest.entries if entry.owner_email)
    return {"data-platform": f"mailto:{known.most_common(1)[0][0]}"} if known else {}
