"""Whether whole numbers that lie close together repeat: a place for each that there may be, and no sort of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

#: Types whose values are whole numbers.
WHOLE = ("TINYINT", "SMALLINT", "INT", "BIGINT")
#: How far apart numbers may lie on average. A word of 64 bits then holds 8 of them.
APART = 8
#: How far apart the ends of numbers may lie that `each_once` looks at: a byte of memory for each that there may be.
SPAN = 1 << 27


def each_once(numbers: Iterable[pa.Array], low: int, high: int) -> int | None:
    """How many of `numbers`, whole and from `low` to `high`, there are, nulls aside; None where one is there twice.

    None, too, where a number lies beyond these after all.
    """
    import numpy as np

    places, held, beyond = np.zeros(high - low + 1, np.bool_), 0, False
    for array in numbers:
        known = array.drop_null().to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
        if not len(known):
            continue
        # All the same to the end: a scan that is left, at the end of a process, may take it down.
        if beyond := beyond or known.min() < low or known.max() > high:
            continue
        held += len(known)
        places[known - low] = True
    return held if not beyond and int(np.count_nonzero(places)) == held else None


def surplus(number: str, rows: str) -> str:
    """SQL, in brackets, of how many of `rows` there are beyond one a `number`; NULLs count as beyond.

    In: `number`, SQL of a BIGINT, and `rows`, what follows FROM. Numbers become bits of 64-bit words, one for each
    stretch of 64 of them, so that words are shuffled and not numbers; a word is a number itself, which Spark
    aggregates in place, without a sort. It pays where numbers lie close together. It is 0 where none repeats; how
    many rows share theirs it does not say.
    """
    return (
        "(SELECT coalesce(sum(held - coalesce(bit_count(bits), 0)), 0) FROM (SELECT count(1) AS held, "
        f"bit_or(shiftleft(1L, CAST({number} & 63 AS INT))) AS bits FROM {rows} GROUP BY shiftright({number}, 6)))"
    )
