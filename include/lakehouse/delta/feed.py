"""The row changes of a range of versions, and whether they can still be read: clean-up and VACUUM take them in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lakehouse.delta import store
from lakehouse.delta.log import kind_of, read_commit

if TYPE_CHECKING:
    import pyarrow as pa

#: Columns of a change: insert, update_postimage or delete; the version that made it.
CHANGE, VERSION = "_change_type", "_commit_version"


def feed_problem(path: str, low: int, high: int) -> str:
    """Why the change feed of versions `low` to `high` (both in it) cannot be read; "" where it can."""
    for version in range(low, high + 1):
        try:
            actions = list(read_commit(path, version))
        except FileNotFoundError:
            return f"version {version} is no longer in the log"
        feed = [a["cdc"]["path"] for a in actions if "cdc" in a]
        changed = [a[kind_of(a)] for a in actions if kind_of(a) in ("add", "remove")]
        read = feed or [content["path"] for content in changed if content["dataChange"]]
        for name in read:
            if not store.exists(f"{path}/{store.decoded(name)}"):
                return f"a data file of version {version} was vacuumed"
    return ""


def changed_since(path: str, version: int, latest: int) -> bool:
    """Whether a commit after `version`, up to `latest`, changed rows, or may have: the log no longer tells."""
    for number in range(version + 1, latest + 1):
        try:
            for action in read_commit(path, number):
                if kind_of(action) in ("add", "remove", "cdc") and action[kind_of(action)].get("dataChange", True):
                    return True
        except FileNotFoundError:
            return True
    return False


def changes(path: str, low: int, high: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The changes of versions `low` to `high` (both in it), streamed: `columns`, then CHANGE and VERSION.

    Rows as they were before an update are left out. In no order: of one key the latest VERSION counts, and in one
    version what came counts before what went. Raises DeltaError where `feed_problem` would have told.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    told = store.delta_table(path).load_cdf(low, high, columns=[*columns, CHANGE, VERSION])
    # It gives views, which Arrow can do little with.
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    for batch in pa.RecordBatchReader.from_stream(told):
        cast = [values.cast(plain.get(values.type, values.type)) for values in batch.columns]
        made = pa.RecordBatch.from_arrays(cast, names=batch.schema.names)
        yield made.filter(pc.not_equal(made[CHANGE], "update_preimage"))
