"""Which attempts at a batch have a branch open: the branches' own records say so. Reads only."""

from __future__ import annotations

from lakehouse.delta import store
from lakehouse.delta.branch import RECORD, Branch


def open_attempts(table_path: str, batch_id: str) -> dict[str, Branch]:
    """{attempt: branch} for every branch under `_branch/<batch>/` of the table that was opened and not dropped.

    A folder that only keeps data files of a published branch is none.
    """
    folder = store.local(table_path) / "_branch" / batch_id
    found = {}
    for attempt in sorted(store.names(folder)):
        try:
            found[attempt] = Branch.from_json((folder / attempt / RECORD).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
    return found
