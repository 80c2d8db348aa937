"""Keyset slices: ranges of (cursor, key) that together are exactly the rows of a window, each row in one of them.

Rows of a window are ordered by cursor, then key, nulls last, as all engines here order them. A slice is what lies
after one point of that order up to another; the points are asked of the source once, and any points would do: the
slices' predicates leave no row out and have none twice, whatever is written meanwhile (ING-9).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from sqlglot import exp

Bind = Callable[[Any], exp.Expr]
#: A row's place in the order: a value a column of it.
Point = Sequence[Any]

_MICRO = timedelta(microseconds=1)


@dataclass(frozen=True)
class Span:
    """The rows that slices are cut of: those of low < cursor <= high, or those that no window can have.

    The latter have no cursor, or an infinite one, or one of a year that no calendar here has.

    Moments count in whole microseconds, so that the span has exactly the rows whose landed cursor lies in it.
    """

    cursor: exp.Expr
    low: datetime | None = None
    high: datetime | None = None
    #: The zone that moments are compared in; None where those of the cursor have none.
    zone: tzinfo | None = None

    def where(self, bind: Bind) -> exp.Expr:
        """True for its rows. On the bare column: engines skip blocks by it."""
        if self.low is None or self.high is None:
            first, last = datetime.min.replace(tzinfo=self.zone), datetime.max.replace(tzinfo=self.zone)
            return exp.or_(
                exp.Is(this=self.cursor.copy(), expression=exp.Null()),
                exp.LT(this=self.cursor.copy(), expression=bind(first)),
                exp.GT(this=self.cursor.copy(), expression=bind(last)),
            )
        return exp.and_(
            exp.GTE(this=self.cursor.copy(), expression=bind(self.low + _MICRO)),
            exp.LT(this=self.cursor.copy(), expression=bind(self.high + _MICRO)),
        )


def count(table: exp.Table, span: Span, bind: Bind) -> exp.Select:
    """How many rows `span` has."""
    return exp.select(exp.Count(this=exp.Star())).from_(table).where(span.where(bind))


def points(table: exp.Table, span: Span, order: Sequence[exp.Expr], size: int, total: int, bind: Bind) -> exp.Select:
    """The points between slices of `size` rows, in order; `total` are the span's rows. One row a point."""
    names = [f"b{i}" for i in range(len(order))]
    number = exp.Window(
        this=exp.RowNumber(), order=exp.Order(expressions=[exp.Ordered(this=each.copy()) for each in order])
    )
    places = [exp.alias_(each.copy(), name) for each, name in zip(order, names, strict=True)]
    ranked = exp.select(*places, exp.alias_(number, "n")).from_(table).where(span.where(bind))
    every = exp.EQ(this=exp.Mod(this=exp.column("n"), expression=bind(size)), expression=exp.Literal.number(0))
    last = exp.LT(this=exp.column("n"), expression=bind(total))
    return (
        exp.select(*names)
        .from_(ranked.subquery("ranked"))
        .where(exp.and_(every, last))
        .order_by(exp.Ordered(this=exp.column("n")))
    )


def between(
    order: Sequence[exp.Expr], after: Point | None, upto: Point | None, solid: bool, bind: Bind
) -> list[exp.Expr]:
    """Predicates of what lies after one point (None: from the start) up to another (None: to the end).

    `solid`: the first column of `order` has no nulls. Then what follows for it alone is said too: engines skip blocks
    by that, or use an index.
    """
    found: list[exp.Expr] = []
    if after is not None:
        if solid:
            found.append(exp.GTE(this=order[0].copy(), expression=bind(after[0])))
        found.append(_after(order, after, bind))
    if upto is not None:
        if solid:
            found.append(exp.LTE(this=order[0].copy(), expression=bind(upto[0])))
        found.append(exp.Not(this=exp.paren(_after(order, upto, bind))))
    return found


def _after(order: Sequence[exp.Expr], point: Point, bind: Bind) -> exp.Expr:
    """True where a row lies after `point`, false elsewhere, never null: nulls come last."""
    first, value = order[0], point[0]
    more: exp.Expr
    same: exp.Expr
    if value is None:
        more, same = exp.false(), exp.Is(this=first.copy(), expression=exp.Null())
    else:
        more = exp.func("COALESCE", exp.GT(this=first.copy(), expression=bind(value)), exp.true())
        same = exp.EQ(this=first.copy(), expression=bind(value))
    if len(order) == 1:
        return more
    return exp.paren(exp.or_(more, exp.paren(exp.and_(same, _after(order[1:], point[1:], bind)))))
