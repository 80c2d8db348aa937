"""Spans: between which times a changed row of an input can touch rows of a table.

A version of a dimension touches facts of its time alone, an observed change the versions from its moment on. Rows of
the table outside need not be looked at, and files that hold none of them are not opened.

Pure: trees of sqlglot in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True)
class Span:
    """A row of an input touches rows of the table with `low` <= `output` <= `high`: its columns, both maybe the same.

    Where `low` is null, or `high` is, it touches none.
    """

    output: str
    low: str
    high: str
    #: The columns of the input that the SQL looks at, sorted: rows alike in them touch alike, and rows alike in all but
    #: `high` differ only at rows of the table between its values. Empty where that does not follow.
    looked_at: tuple[str, ...] = ()


def joined_between(select: exp.Select, alias: str, condition: exp.Expr) -> list[tuple[str, Span]]:
    """(expression of another relation, span without an output) for what `condition` holds between columns of `alias`.

    `alias` is a table that `select` joins ON `condition`.
    """
    from sqlglot import exp

    lows: dict[str, str] = {}
    highs: dict[str, str] = {}
    for smaller, larger in _ordered(condition):
        if isinstance(smaller, exp.Column) and isinstance(larger, exp.Column):
            if smaller.table == alias != larger.table:
                lows[larger.sql("spark")] = smaller.name
            elif larger.table == alias != smaller.table:
                highs[smaller.sql("spark")] = larger.name
    own = [column.name for column in select.find_all(exp.Column) if column.table == alias]
    looked_at = tuple(sorted(set(own)))
    return [
        # Where the upper bound is looked at once more, more may differ than what lies at it.
        (text, Span("", low, highs[text], looked_at if own.count(highs[text]) == 1 else ()))
        for text, low in lows.items()
        if text in highs
    ]


def _ordered(condition: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """(smaller or equal, larger or equal) of each comparison that `condition` demands."""
    from sqlglot import exp

    for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
        if isinstance(part, exp.GTE | exp.GT):
            yield part.expression, part.this
        elif isinstance(part, exp.LTE | exp.LT):
            yield part.this, part.expression
        elif isinstance(part, exp.Between):
            yield part.args["low"], part.this
            yield part.this, part.args["high"]
