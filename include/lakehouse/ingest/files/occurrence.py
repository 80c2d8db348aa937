"""Numbers identical lines of one object 1, 2, ..., so that a contract can tell them apart and keep each of them.

A line that is in the object three times is three rows; in the same object sent again it is the same three.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

#: What DuckDB may take before it goes to disk, where it has digests and positions only.
MEMORY = "128MB"
#: Bytes of one value that it may have at a time.
LARGE = 2**18

#: All but the first of identical lines: their position in the object, and their number.
REPEATED = """
SELECT position, row_number() OVER (PARTITION BY digest ORDER BY position) AS number
FROM lines WHERE digest IN (SELECT digest FROM lines GROUP BY digest HAVING count(*) > 1)
QUALIFY number > 1 ORDER BY position
"""


def numbered(batches: Callable[[], Iterator[pa.RecordBatch]], name: str) -> Iterator[pa.RecordBatch]:
    """`batches()`, which is called twice, with the BIGINT column `name` added. Lines are equal when all values are."""
    import duckdb
    import numpy as np
    import pyarrow as pa

    with (
        tempfile.TemporaryDirectory(prefix="lakehouse-lines-") as folder,
        duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": folder, "threads": 1}) as db,
    ):
        _gather(db, batches())
        repeated = _Repeated(db)
        start = 0
        for batch in batches():
            numbers = np.ones(batch.num_rows, dtype=np.int64)
            for position, number in repeated.before(start + batch.num_rows):
                numbers[position - start] = number
            start += batch.num_rows
            yield batch.append_column(name, pa.array(numbers))


def _gather(db: duckdb.DuckDBPyConnection, batches: Iterator[pa.RecordBatch]) -> None:
    """Table `lines`: the position of every line, and a digest of its values."""
    import pyarrow as pa

    db.execute("CREATE TABLE lines (position BIGINT, digest UHUGEINT)")
    start = 0
    for batch in batches:
        columns = [f"c{number}" for number in range(batch.num_columns)]
        plain = pa.RecordBatch.from_arrays([_bounded(values) for values in batch.columns], names=columns)
        positions = pa.array(range(start, start + batch.num_rows), pa.int64())
        db.register("arrived", pa.Table.from_batches([plain.append_column("position", positions)]))
        # As JSON, in which no two lines are written alike.
        line = f"CAST(to_json(row({', '.join(columns)})) AS VARCHAR)"
        db.execute(f"INSERT INTO lines SELECT position, md5_number({line}) FROM arrived")
        db.unregister("arrived")
        start += batch.num_rows


def _bounded(values: pa.Array) -> pa.Array:
    """`values` with a digest in the place of each text that DuckDB would need several times its size for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(values.type):
        return values
    large = pc.fill_null(pc.greater(pc.binary_length(values), LARGE), False)
    if not pc.any(large).as_py():
        return values
    digests = [hashlib.sha256(value.as_py().encode()).hexdigest() for value in values.filter(large)]
    return pc.replace_with_mask(values, large, pa.array(digests, values.type))


class _Repeated:
    """The repeated lines in order, read as far as asked."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self._found = db.execute(REPEATED)
        self._next = self._found.fetchone()

    def before(self, end: int) -> Iterator[tuple[int, int]]:
        while self._next and self._next[0] < end:
            yield self._next[0], self._next[1]
            self._next = self._found.fetchone()
