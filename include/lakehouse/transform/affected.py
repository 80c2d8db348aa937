"""Affected keys: which rows of a table a changed row of an input can touch, derived from the table's SQL.

For each place where the SQL reads an input, pairs (input column, output column): a change of an input row, old or
new, touches only rows of the table that have its value in that output column. Filters and projections pass columns
on; windows and groupings keep those they partition or group by; joins keep the preserved side's and, of the other
side, the columns that are equal to one of the preserved side. Where nothing is left, or the SQL does something that
is not known here, the answer is None: the table has to be computed in full.

And for each place, which output columns it can alter in rows that are there whatever it holds: that is so behind a
LEFT JOIN, as long as no condition, grouping or window decides about rows by what it gave.

And for each place, where it follows, between which of its columns a column of the output lies (see spans.py).

Pure: trees of sqlglot in, pairs out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lakehouse.transform.spans import Span, joined_between

if TYPE_CHECKING:
    from sqlglot import exp

#: {output column: input column} of one place that reads `table`.
Pairs = dict[str, str]


@dataclass(frozen=True)
class Handle:
    """One place that reads `table`: rows of the output with these columns' values are the affected ones."""

    table: str
    #: (input column, output column), sorted.
    pairs: tuple[tuple[str, str], ...]
    #: Output columns that it can alter in rows that are there either way; None: it also decides which rows there are.
    alters: frozenset[str] | None = None
    #: Of the affected ones, only those in between.
    span: Span | None = None


class _Unmappable(Exception):
    """The SQL does something that is not known here."""


def handles(tree: exp.Query, schema: Mapping[str, Mapping[str, str]]) -> list[Handle] | None:
    """The handles of every place where `tree` reads a table; None where one of them cannot be mapped.

    `schema` is {layer.table: {column: Spark type}}, operational columns included.
    """
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify

    nested: dict[str, Any] = {}
    for name, columns in schema.items():
        layer, _, table = name.partition(".")
        nested.setdefault(layer, {})[table] = dict(columns)
    try:
        qualified = qualify(tree.copy(), schema=nested, dialect="spark", quote_identifiers=False)
        block = _query(qualified, {name: _table(name, columns) for name, columns in schema.items()})
    except (SqlglotError, _Unmappable):
        return None
    if any(not place.pairs for place in block.places):
        return None
    return [Handle(p.table, tuple(sorted((i, o) for o, i in p.pairs.items())), p.alters, p.span) for p in block.places]


@dataclass
class _Place:
    """Where a table is read. `pairs`, `alters`, `span` (see Handle) are by columns of the relation it is seen through.

    With `alters`, the distinct rows of the relation, without these columns, are the same whatever the table holds.
    """

    table: str
    pairs: Pairs
    alters: frozenset[str] | None = None
    span: Span | None = None


@dataclass
class _Block:
    """A query: its columns, and the places it reads, seen through these columns."""

    columns: list[str]
    places: list[_Place] = field(default_factory=list)


def _table(name: str, columns: Mapping[str, str]) -> _Block:
    """A table as it is read: seen through every column of its own."""
    return _Block(list(columns), [_Place(name, {column: column for column in columns})])


def _query(node: exp.Expr, known: Mapping[str, _Block]) -> _Block:
    """The block of a SELECT or of a set operation; `known` are the tables and the CTEs in scope."""
    from sqlglot import exp

    if isinstance(node, exp.Subquery | exp.SetOperation) and any(node.args.get(name) for name in ("limit", "offset")):
        raise _Unmappable
    if isinstance(node, exp.Subquery):
        return _query(node.this, known)
    known = dict(known)
    for cte in node.args["with_"].expressions if node.args.get("with_") else []:
        known[cte.alias] = _query(cte.this, known)
    if isinstance(node, exp.SetOperation):
        left, right = _query(node.left, known), _query(node.right, known)
        names = dict(zip(right.columns, left.columns, strict=True))
        moved = [_Place(p.table, {names[o]: i for o, i in p.pairs.items()}) for p in right.places]
        return _Block(left.columns, [*(_Place(p.table, p.pairs) for p in left.places), *moved])
    if not isinstance(node, exp.Select):
        raise _Unmappable
    return _select(node, known)


def _select(select: exp.Select, known: Mapping[str, _Block]) -> _Block:
    from sqlglot import exp

    for name in ("limit", "offset", "laterals", "pivots", "distribute", "sort", "cluster", "windows", "connect"):
        if select.args.get(name):
            raise _Unmappable
    relations = _Relations(select, known)
    _no_subqueries(select)
    allowed = _allowed(select)
    places = []
    columns = [projection.alias_or_name for projection in select.expressions]
    for alias, place in relations.places():
        pairs: Pairs = {}
        for column, source in place.pairs.items():
            usable = relations.usable(alias, column)
            for projection in select.expressions:
                text = projection.unalias().sql("spark")
                if text in usable and all(text in group for group in allowed):
                    pairs.setdefault(projection.alias_or_name, source)
        span = _spanned(select, relations, alias, place, allowed)
        places.append(_Place(place.table, pairs, _altered(select, relations, alias, place), span))
    if any(isinstance(p, exp.Star) for p in select.expressions):
        raise _Unmappable
    return _Block(columns, places)


def _spanned(
    select: exp.Select, relations: _Relations, alias: str, place: _Place, allowed: list[set[str]]
) -> Span | None:
    """The `span` of a place that `select` reads through `alias`, by the columns of `select`."""
    found = [(f"{alias}.{place.span.output}", place.span)] if place.span and alias not in relations.optional else []
    if alias in relations.tables and alias in relations.conditions:
        found += joined_between(select, alias, relations.conditions[alias])
    for text, span in found:
        if text.partition(".")[0] not in relations.optional and all(text in group for group in allowed):
            for projection in select.expressions:
                if projection.unalias().sql("spark") == text:
                    return replace(span, output=projection.alias_or_name)
    return None


def _altered(select: exp.Select, relations: _Relations, alias: str, place: _Place) -> frozenset[str] | None:
    """The `alters` of a place that `select` reads through `alias`, by the columns of `select`."""
    from sqlglot import exp

    own = relations.decorating.get(alias)
    inside = relations.blocks[alias].columns if own else place.alters
    if inside is None or select.args.get("having") or select.args.get("qualify"):
        return None
    group, joins = select.args.get("group"), select.args.get("joins") or []
    deciding = [select.args.get("where"), group, *(join.args.get("on") for join in joins if join is not own)]

    def altered(part: exp.Expr) -> bool:
        return any(column.table == alias and column.name in inside for column in part.find_all(exp.Column))

    if any(altered(part) for part in deciding if part is not None):
        return None
    # Aggregates and windows look at several rows, and how many there are of a kind is not settled.
    grouped = {e.sql("spark") for e in group.expressions} if group else None
    return frozenset(
        projection.alias_or_name
        for projection in select.expressions
        if altered(projection)
        or projection.find(exp.Window)
        or (grouped is not None and projection.unalias().sql("spark") not in grouped)
    )


def _no_subqueries(select: exp.Select) -> None:
    """Refuse queries inside expressions: what they read touches rows in ways not known here."""
    from sqlglot import exp

    parts = [*select.expressions, select.args.get("where"), select.args.get("having"), select.args.get("qualify")]
    parts += [join.args.get("on") for join in select.args.get("joins") or []]
    for part in parts:
        if part is not None and part.find(exp.Query):
            raise _Unmappable


def _allowed(select: exp.Select) -> list[set[str]]:
    """Sets of expressions: an output column is kept when it is in every one (groupings, windows' partitions)."""
    from sqlglot import exp

    found: list[set[str]] = []
    group = select.args.get("group")
    if group:
        if any(group.args.get(name) for name in ("all", "cube", "rollup", "grouping_sets", "totals")):
            raise _Unmappable
        found.append({e.sql("spark") for e in group.expressions})
    parts = [*select.expressions, *[p for name in ("having", "qualify") if (p := select.args.get(name)) is not None]]
    aggregates = [a for part in parts for a in part.find_all(exp.AggFunc) if not a.find_ancestor(exp.Window)]
    if aggregates and not group:
        raise _Unmappable  # one row over everything
    for window in [w for part in parts for w in part.find_all(exp.Window)]:
        partition = window.args.get("partition_by") or []
        if not partition:
            raise _Unmappable
        found.append({e.sql("spark") for e in partition})
    return found


class _Relations:
    """FROM and JOINs of one SELECT."""

    def __init__(self, select: exp.Select, known: Mapping[str, _Block]) -> None:

        self.blocks: dict[str, _Block] = {}
        #: Expressions that carry a relation's column: by equality in a join that must hold.
        self.equal: dict[str, set[str]] = {}
        #: The same for relations whose rows may be missing; their own columns do not count then.
        self.optional: set[str] = set()
        #: Relation -> the LEFT JOIN that adds it: its columns, and no rows are missing without it.
        self.decorating: dict[str, exp.Join] = {}
        #: Relations that are tables themselves; and the conditions that others are joined by, INNER or LEFT.
        self.tables: set[str] = set()
        self.conditions: dict[str, exp.Expr] = {}
        start = select.args.get("from_")
        if start is None:
            return  # a query without inputs
        self._add(start.this, known)
        joins = select.args.get("joins") or []
        for join in joins:
            side, kind = join.side.upper(), join.kind.upper()
            on = join.args.get("on")
            before = set(self.blocks)
            self._add(join.this, known)
            alias = join.this.alias_or_name
            if kind in ("SEMI", "ANTI") or join.args.get("using") or join.method or side == "RIGHT":
                raise _Unmappable
            pairs = list(self._equalities(on, alias)) if on is not None else []
            if side == "FULL":
                if len(joins) > 1 or before & self.optional:
                    raise _Unmappable
                self.optional |= {*before, alias}
                for mine, other in pairs:
                    for one, two in ((mine, other), (other, mine)):
                        self.equal.setdefault(one, set()).add(f"COALESCE({one}, {two})")
                        self.equal[one].add(f"COALESCE({two}, {one})")
            else:
                if on is not None:
                    self.conditions[alias] = on
                if side == "LEFT":
                    self.optional.add(alias)
                    self.decorating[alias] = join
                elif alias not in self.optional:
                    for mine, other in pairs:
                        self.equal.setdefault(other, set()).add(mine)
                for mine, other in pairs:
                    self.equal.setdefault(mine, set()).add(other)

    def _add(self, item: exp.Expr, known: Mapping[str, _Block]) -> None:
        from sqlglot import exp

        alias = item.alias_or_name
        name = f"{item.db}.{item.name}" if isinstance(item, exp.Table) and item.db else item.name
        if item.args.get("sample"):
            raise _Unmappable
        if isinstance(item, exp.Table) and name in known:
            self.blocks[alias] = known[name]
            if item.db:
                self.tables.add(alias)
        elif isinstance(item, exp.Subquery):
            self.blocks[alias] = _query(item, known)
        else:
            raise _Unmappable

    def _equalities(self, on: exp.Expr, alias: str) -> list[tuple[str, str]]:
        """(column of `alias`, column of another relation) that the join's condition makes equal."""
        from sqlglot import exp

        found = []
        for part in on.flatten() if isinstance(on, exp.And) else [on]:
            if isinstance(part, exp.EQ) and all(isinstance(s, exp.Column) for s in (part.this, part.expression)):
                one, two = part.this, part.expression
                if two.table == alias:
                    one, two = two, one
                if one.table == alias and two.table != alias:
                    found.append((one.sql("spark"), two.sql("spark")))
        return found

    def places(self) -> list[tuple[str, _Place]]:
        """Every place read, with the relation it is seen through."""
        return [(alias, place) for alias, block in self.blocks.items() for place in block.places]

    def usable(self, alias: str, column: str) -> set[str]:
        """Expressions of the SELECT that have the column's value in every row that it can touch."""
        own = f"{alias}.{column}"
        equal = self.equal.get(own, set())
        return equal if alias in self.optional else {own, *equal}
