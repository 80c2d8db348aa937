"""Which unique keys lie so close together that bits find a repeated one without a shuffle of all keys."""

from __future__ import annotations

from lakehouse.contracts.model import Contract

#: Types whose values are whole numbers.
WHOLE = ("TINYINT", "SMALLINT", "INT", "BIGINT")
#: Numbers a key may lie apart, on average: a word of 64 bits then holds 8 keys.
APART = 8
#: Rows below which a shuffle costs nothing.
MANY = 100_000


def dense(contract: Contract, path: str) -> frozenset[str]:
    """Names of the unique rules of one such column, by the statistics of the Delta table at `path`."""
    from lakehouse.delta import span

    found = set()
    for rule in contract.rules:
        # A rule that bears some repeats needs their number.
        if rule.kind == "unique" and len(rule.columns) == 1 and "unit" not in rule.params:
            (column,) = rule.columns
            told = span(path, column) if contract.column(column).type in WHOLE else None
            if told and told.rows >= MANY and told.high - told.low < APART * told.rows:
                found.add(rule.name)
    return frozenset(found)
