"""Which files a table still needs: what its latest version reads, and what time travel may read."""

from __future__ import annotations

import re
from datetime import timedelta

from lakehouse.delta import store
from lakehouse.delta.features import Snapshot
from lakehouse.delta.log import kind_of, log_folder, read_commit
from lakehouse.delta.replay import files_at
from lakehouse.errors import LakehouseError

#: Delta's default, and the least that is kept whatever a table's property says (OPS-4).
LEAST = timedelta(hours=168)

_PROPERTY = "delta.deletedFileRetentionDuration"
_INTERVAL = re.compile(r"(?:interval\s+)?(\d+)\s+(second|minute|hour|day|week)s?", re.IGNORECASE)
_COMMIT = re.compile(r"(\d{20})\.json")


class RetentionUnknown(LakehouseError):
    """A table property that is no interval."""


def retention(table: Snapshot) -> timedelta:
    """How long removed files are kept for time travel. Raises RetentionUnknown."""
    told = table.properties.get(_PROPERTY)
    if told is None:
        return LEAST
    match = _INTERVAL.fullmatch(told.strip())
    if match is None:
        raise RetentionUnknown(f"{table.path}: {_PROPERTY} is '{told}'.", "Write it like 'interval 7 days'.")
    return max(LEAST, timedelta(**{f"{match[2].lower()}s": int(match[1])}))


def needed(path: str, version: int, since: float) -> set[str]:
    """Files, relative to the table, that `version` or any version that was current after `since` (Unix s) refers to.

    That is: what is in force, what was removed since, and whatever commits since then name at all (change feed files
    are in no state). Raises LogIncomplete and UnknownFeature.
    """
    files = files_at(path, version)
    found = set(files.active)
    found |= {name for name, content in files.removed.items() if content.get("deletionTimestamp", 0) / 1000 >= since}
    for file in store.walk(log_folder(path)):
        match = _COMMIT.fullmatch(file.name)
        if match and file.modified >= since:
            found |= {
                store.decoded(action[kind_of(action)]["path"])
                for action in read_commit(path, int(match[1]))
                if kind_of(action) in ("add", "remove", "cdc")
            }
    return found
