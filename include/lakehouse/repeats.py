"""SQL that tells whether whole numbers repeat, without a shuffle of all of them."""

from __future__ import annotations

#: Types whose values are whole numbers.
WHOLE = ("TINYINT", "SMALLINT", "INT", "BIGINT")


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
