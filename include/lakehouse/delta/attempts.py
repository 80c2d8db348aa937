"""Which attempts at a batch have a branch open: the branches' own records say so. Reads only."""

from __future__ import annotations

from lakehouse.delta import store
from lakehouse.delta.record import Branch, recorded


def open_attempts(table_path: str, batch_id: str) -> dict[str, Branch]:
    """{attempt: branch} for every branch under `_branch/<batch>/` of the table that was opened and not dropped.

    A folder that only keeps data files of a published branch is none.
    """
    folder = f"{store.canonical(table_path)}/_branch/{batch_id}"
    found = {attempt: recorded(f"{folder}/{attempt}") for attempt in sorted(store.names(folder))}
    return {attempt: branch for attempt, branch in found.items() if branch is not None}
