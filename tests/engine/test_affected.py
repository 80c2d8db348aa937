"""Affected keys: whatever changes in the inputs, every row of the output that differs is one that was foretold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import duckdb
import hypothesis.strategies as st
import pytest
import sqlglot
from hypothesis import given, settings

from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.pipeline.spec import table_spec
from lakehouse.transform.affected import Handle, handles
from lakehouse.transform.increment import by_key
from lakehouse.transform.spans import Span
from lakehouse.transform.sql import parse_query, parse_transform

ROOT = PROJECT / "include" / "tables"
CONTRACTS = {f"{folder.parent.name}.{folder.name}": load_contract(folder) for folder in sorted(ROOT.glob("*/*"))}
SHOP = {name: {c.name: c.type for c in table_spec(contract).columns} for name, contract in CONTRACTS.items()}
TRANSFORMS = {
    f"{p.parent.parent.name}.{p.parent.name}": p.read_text()
    for p in sorted(ROOT.glob("*/*/transform.sql"))
    if "SEQUENCE(" not in p.read_text()
}
MADE = {
    "silver.a": {"k": "INT", "x": "INT", "s": "STRING"},
    "silver.b": {"k": "INT", "y": "INT", "z": "INT", "s": "STRING"},
}
#: Queries over a and b that map, and the output columns by which each place does.
MAPPED = {
    "SELECT k, x FROM silver.a WHERE x > 1": [("silver.a", {"k", "x"})],
    "SELECT DISTINCT s FROM silver.a": [("silver.a", {"s"})],
    "SELECT k AS key, sum(x) AS n FROM silver.a GROUP BY k HAVING sum(x) > 1": [("silver.a", {"key"})],
    "SELECT a.k, b.y FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k": [
        ("silver.a", {"k"}),
        ("silver.b", {"k"}),
    ],
    "SELECT a.k, b.s FROM silver.a AS a JOIN silver.b AS b ON a.x = b.y": [("silver.a", {"k"}), ("silver.b", {"s"})],
    "SELECT k FROM silver.a UNION ALL SELECT y FROM silver.b": [("silver.a", {"k"}), ("silver.b", {"k"})],
    "SELECT k FROM silver.a EXCEPT SELECT k FROM silver.b": [("silver.a", {"k"}), ("silver.b", {"k"})],
    "WITH c AS (SELECT k, max(x) AS x FROM silver.a GROUP BY k) "
    "SELECT one.k, two.x FROM c AS one LEFT JOIN c AS two ON one.k = two.k": [
        ("silver.a", {"k"}),
        ("silver.a", {"k"}),
    ],
    "SELECT k, x, row_number() OVER (PARTITION BY k, s ORDER BY x) AS n FROM silver.a": [("silver.a", {"k"})],
    "SELECT coalesce(a.k, b.k) AS k, a.x, b.y FROM silver.a AS a FULL OUTER JOIN silver.b AS b ON a.k = b.k": [
        ("silver.a", {"k"}),
        ("silver.b", {"k"}),
    ],
    "SELECT a.k, b.y, c.x FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k "
    "LEFT JOIN silver.a AS c ON b.y = c.x": [("silver.a", {"k"}), ("silver.b", {"k"}), ("silver.a", {"y"})],
}
#: Of the same queries, for each place: what it alters where it decides about no row, by the output; None: it does.
ALTERS: dict[str, list[set[str] | None]] = {
    "SELECT a.k, b.y FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k": [None, {"y"}],
    "SELECT a.k, b.y FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k WHERE b.y > 0": [None, None],
    "SELECT DISTINCT a.k, b.y FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k WHERE a.x > 0": [None, {"y"}],
    "SELECT a.k, b.s FROM silver.a AS a JOIN silver.b AS b ON a.x = b.y": [None, None],
    "SELECT a.k, a.x, count(*) AS n FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k GROUP BY a.k, a.x": [
        None,
        {"n"},
    ],
    "SELECT a.k, b.y, count(*) AS n FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k GROUP BY a.k, b.y": [
        None,
        None,
    ],
    "SELECT a.k, count(*) AS n FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k GROUP BY a.k "
    "HAVING count(*) > 1": [None, None],
    "WITH c AS (SELECT a.k, a.s, b.y FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k) "
    "SELECT c.k, c.s, c.y + 1 AS y, b.s AS t FROM c LEFT JOIN silver.b AS b ON c.k = b.k": [
        None,
        {"y"},
        {"t"},
    ],
    "WITH c AS (SELECT a.k, row_number() OVER (PARTITION BY a.k ORDER BY b.y) AS n FROM silver.a AS a "
    "LEFT JOIN silver.b AS b ON a.k = b.k) SELECT c.k, c.n FROM c": [None, {"n"}],
    "WITH c AS (SELECT a.k, row_number() OVER (PARTITION BY a.k ORDER BY b.y) AS n FROM silver.a AS a "
    "LEFT JOIN silver.b AS b ON a.k = b.k) SELECT c.k FROM c WHERE c.n = 1": [None, None],
    "SELECT a.k, count(*) OVER (PARTITION BY a.k) AS n FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k": [
        None,
        {"n"},
    ],
    "SELECT a.k, b.y, c.x FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k "
    "LEFT JOIN silver.a AS c ON b.y = c.x": [None, None, {"x"}],
    "SELECT a.k, b.y FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k UNION SELECT k, y FROM silver.b": [
        None,
        None,
        None,
    ],
}
#: Queries over a and b, and the spans of their places: output, low, high, and whether the upper bound is looked at
#: nowhere else.
SPANNED: dict[str, list[tuple[str, str, str, bool] | None]] = {
    "SELECT a.k, a.x, b.s FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.x < b.z": [
        None,
        ("x", "y", "z", True),
    ],
    "SELECT a.k, a.x, b.s FROM silver.a AS a JOIN silver.b AS b ON a.k = b.k AND a.x BETWEEN b.y AND b.z": [
        None,
        ("x", "y", "z", True),
    ],
    # The upper bound is more than that, so rows far below it differ with it.
    "SELECT a.k, a.x, b.s FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.x < b.k": [
        None,
        ("x", "y", "k", False),
    ],
    "SELECT a.k, a.x, b.z FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.x < b.z": [
        None,
        ("x", "y", "z", False),
    ],
    "SELECT a.k, a.x, b.s FROM silver.a AS a JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.x < b.z "
    "WHERE b.z > 1": [None, ("x", "y", "z", False)],
    "SELECT a.k, a.x, b.s FROM silver.a AS a JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.x <= b.y": [
        None,
        ("x", "y", "y", False),
    ],
    "WITH c AS (SELECT a.k, a.x, b.s FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k AND b.y <= a.x AND "
    "b.k >= a.x) SELECT c.k, c.x AS at, max(c.s) AS s FROM c GROUP BY c.k, c.x": [None, ("at", "y", "k", False)],
    # What the table is told by is not in the output, is not grouped by, may be missing, or bounds different things.
    "SELECT a.k, b.s FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.x < b.k": [
        None,
        None,
    ],
    "SELECT a.k, max(a.x) AS x FROM silver.a AS a JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.x < b.k "
    "GROUP BY a.k": [None, None],
    "SELECT a.k, a.x, b.s FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k AND a.x >= b.y AND a.k < b.k": [
        None,
        None,
    ],
    "SELECT o.k, a.x, b.s FROM silver.a AS o LEFT JOIN silver.a AS a ON o.k = a.k "
    "LEFT JOIN silver.b AS b ON o.k = b.k AND a.x >= b.y AND a.x < b.k": [None, None, None],
    "SELECT a.k, a.x, b.s FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k AND (a.x >= b.y OR a.x < b.k)": [
        None,
        None,
    ],
}
UNMAPPED = [
    "SELECT count(*) AS n FROM silver.a",
    "SELECT k, row_number() OVER (ORDER BY x) AS n FROM silver.a",
    "SELECT k + 1 AS k FROM silver.a",
    "SELECT k FROM silver.a ORDER BY k LIMIT 3",
    "SELECT k, x FROM silver.a UNION ALL SELECT k, y FROM silver.b ORDER BY k LIMIT 3",
    "(SELECT k, x FROM silver.a) LIMIT 3",
    "SELECT q.k FROM ((SELECT k, x FROM silver.a) ORDER BY x LIMIT 3) AS q",
    "WITH c AS (SELECT k FROM silver.a UNION SELECT k FROM silver.b LIMIT 3) SELECT c.k FROM c",
    "SELECT k FROM silver.a TABLESAMPLE (10 ROWS)",
    "SELECT k FROM silver.a WHERE k IN (SELECT k FROM silver.b)",
    "SELECT k, (SELECT max(y) FROM silver.b) AS y FROM silver.a",
    "SELECT a.k FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k < b.k",
    "SELECT a.k, b.y FROM silver.a AS a CROSS JOIN (SELECT max(y) AS y FROM silver.b) AS b",
    "SELECT b.k FROM silver.a AS a RIGHT JOIN silver.b AS b ON a.k = b.k",
    "SELECT a.k FROM silver.a AS a LEFT SEMI JOIN silver.b AS b ON a.k = b.k",
    "SELECT b.y FROM silver.a AS a LEFT JOIN silver.b AS b ON a.k = b.k",
    "SELECT k, sum(x) AS x FROM silver.a GROUP BY ROLLUP (k)",
]

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.integers(0, 2),
    "INT": st.integers(0, 2),
    "STRING": st.sampled_from(["cancelled", "purchase", "x"]),
    "BOOLEAN": st.booleans(),
    "TIMESTAMP": st.sampled_from([datetime(2025, 1, day) for day in (1, 2, 3)]),
    "DATE": st.sampled_from([date(2025, 1, day) for day in (1, 2)]),
    "DOUBLE": st.sampled_from([0.5, 1.0]),
}
Row = tuple[Any, ...]


def value(kind: str) -> st.SearchStrategy[Any]:
    known = VALUES.get(kind.upper(), st.sampled_from([Decimal("1.00"), Decimal("2.00")]))
    return known if kind == "BOOLEAN" else st.one_of(known, known, known, st.none())


def rows(columns: dict[str, str]) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.tuples(*map(value, columns.values())), max_size=4)


@lru_cache
def lake(names: tuple[str, ...], made: bool) -> duckdb.DuckDBPyConnection:
    """Empty tables, kept over the examples of a test."""
    db = duckdb.connect(config={"threads": 1})
    for name in names:
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {name.partition('.')[0]}")
        kinds = ", ".join(f"{c} {k.replace('STRING', 'VARCHAR')}" for c, k in (MADE if made else SHOP)[name].items())
        db.execute(f"CREATE TABLE {name} ({kinds})")
    return db


def output(sql: str, tables: dict[str, list[Row]], made: bool) -> Counter[Row]:
    db = lake(tuple(tables), made)
    for name, held in tables.items():
        db.execute(f"DELETE FROM {name}")
        if held:
            marks = f"({', '.join('?' * len(held[0]))})"
            db.execute(
                f"INSERT INTO {name} VALUES {', '.join([marks] * len(held))}", [item for row in held for item in row]
            )
    return Counter(db.execute(sqlglot.transpile(sql, read="spark", write="duckdb")[0]).fetchall())


def spanned(span: Span, columns: list[str], lost: list[Row], come: list[Row]) -> list[tuple[Any, Any, Row]]:
    """(low, high, row) of changed rows; of those alike but for their upper bound, where it may matter nowhere else,
    from the lowest of these bounds."""
    bounds = [columns.index(span.low), columns.index(span.high)]
    if not span.looked_at:
        return [(row[bounds[0]], row[bounds[1]], row) for row in lost + come if all(row[i] is not None for i in bounds)]
    looked_at = [columns.index(name) for name in span.looked_at]
    more: Counter[Row] = Counter()
    for rows_, sign in ((lost, -1), (come, 1)):
        for row in rows_:
            if all(row[i] is not None for i in bounds):
                more[tuple(row[i] if i in looked_at else None for i in range(len(columns)))] += sign
    groups: dict[Row, list[Row]] = {}
    for row in more:
        if more[row]:
            groups.setdefault(tuple(None if i == bounds[1] else v for i, v in enumerate(row)), []).append(row)
    found = []
    for alike in groups.values():
        highs = [row[bounds[1]] for row in alike]
        low = alike[0][bounds[0]] if sum(more[row] for row in alike) else min(highs)
        found.append((low, max(highs), alike[0]))
    return found


def check(
    sql: str,
    made: bool,
    data: st.DataObject,
    key: tuple[str, ...] = (),
    through: Callable[[Handle], bool] = lambda handle: False,
) -> None:
    """Draw inputs and a change of them; every row that differs must be reached by a handle.

    Handles that go `through` the table as it was reach the rows with the keys (columns `key`) that they find there.
    """
    query, schema = parse_query(sql), MADE if made else SHOP
    used = {name: schema[name] for name in query.reads}
    found = handles(query.tree, used)
    assert found is not None
    before = {name: data.draw(rows(columns), label=f"before {name}") for name, columns in used.items()}
    after, changed, lost, come = {}, {}, {}, {}
    for name, columns in used.items():
        gone = data.draw(st.sets(st.integers(0, 3), max_size=2), label=f"gone of {name}")
        new = data.draw(rows(columns).map(lambda some: some[:2]), label=f"new in {name}")
        for row in [row for i, row in enumerate(before[name]) if i in gone]:
            # Rows are changed in one column, mostly.
            at = data.draw(st.integers(-1, len(columns) - 1), label="changed column")
            if at >= 0:
                new = [*new, (*row[:at], data.draw(value(list(columns.values())[at])), *row[at + 1 :])]
        kept = [row for i, row in enumerate(before[name]) if i not in gone]
        after[name] = [*kept, *new]
        lost[name], come[name] = [row for i, row in enumerate(before[name]) if i in gone], new
        changed[name] = lost[name] + new
    old, now = output(sql, before, made), output(sql, after, made)
    differing = [row for row in old.keys() | now.keys() if old[row] != now[row]]
    names, where = list(query.columns), {name: list(columns) for name, columns in used.items()}

    def holds(handle: Handle, row: Row) -> bool:
        """Whether an output row has a changed input row's values in the columns of the handle, and lies in its span."""
        if handle.span:
            columns = where[handle.table]
            changes = spanned(handle.span, columns, lost[handle.table], come[handle.table])
            at = row[names.index(handle.span.output)]
            near = [change for low, high, change in changes if at is not None and low <= at <= high]
        else:
            near = changed[handle.table]
        return any(
            all(row[names.index(o)] == change[where[handle.table].index(i)] for i, o in handle.pairs) for change in near
        )

    def keyed(row: Row) -> Row:
        return tuple(row[names.index(k)] for k in key)

    looked_up = {keyed(row) for handle in found if through(handle) for row in old if holds(handle, row)}
    for row in differing:
        reached = keyed(row) in looked_up if key else False
        assert reached or any(holds(handle, row) for handle in found if not through(handle)), (row, changed)


@pytest.mark.long(3)
@pytest.mark.parametrize("name", sorted(TRANSFORMS))
@given(data=st.data())
def test_every_difference_of_the_shops_tables_is_foretold(name: str, data: st.DataObject) -> None:
    contract = CONTRACTS[name]
    if contract.scd2:
        check(TRANSFORMS[name], False, data)
    else:
        check(TRANSFORMS[name], False, data, contract.primary_key, lambda handle: by_key(contract, handle))


@pytest.mark.long(10)
@pytest.mark.parametrize("sql", sorted(SPANNED))
@settings(max_examples=150)
@given(data=st.data())
def test_every_difference_is_in_its_span(sql: str, data: st.DataObject) -> None:
    check(sql, True, data)


@pytest.mark.parametrize("sql", sorted(SPANNED))
def test_spans(sql: str) -> None:
    found = handles(parse_query(sql).tree, MADE)
    assert found is not None
    told = [h.span and (h.span.output, h.span.low, h.span.high, bool(h.span.looked_at)) for h in found]
    assert told == SPANNED[sql]


@pytest.mark.parametrize("sql", sorted(MAPPED))
@given(data=st.data())
def test_every_difference_of_made_up_queries_is_foretold(sql: str, data: st.DataObject) -> None:
    check(sql, True, data)


@pytest.mark.parametrize("sql", sorted(q for q, found in ALTERS.items() if any(a is not None for a in found)))
@given(data=st.data())
def test_every_difference_is_found_in_the_table_as_it_was_or_told_by_a_place_that_decides(
    sql: str, data: st.DataObject
) -> None:
    key = tuple(c for c in parse_query(sql).columns if c not in set().union(*(a or set() for a in ALTERS[sql])))
    check(sql, True, data, key, lambda handle: handle.alters is not None)


@pytest.mark.parametrize("sql", sorted(ALTERS))
def test_what_places_alter(sql: str) -> None:
    found = handles(parse_query(sql).tree, MADE)
    assert found is not None
    assert [None if h.alters is None else set(h.alters) for h in found] == ALTERS[sql]


@pytest.mark.parametrize("sql", sorted(MAPPED))
def test_columns_of_handles(sql: str) -> None:
    found = handles(parse_query(sql).tree, MADE)
    assert found is not None
    seen = [(handle.table, {output for _, output in handle.pairs}) for handle in found]
    assert [table for table, _ in seen] == [table for table, _ in MAPPED[sql]]
    assert all(wanted <= outputs for (_, outputs), (_, wanted) in zip(seen, MAPPED[sql], strict=True))


@pytest.mark.parametrize("sql", UNMAPPED)
def test_what_cannot_be_mapped_is_said(sql: str) -> None:
    assert handles(parse_query(sql).tree, MADE) is None


def test_a_constant_query_has_no_handle() -> None:
    assert handles(parse_transform(ROOT / "gold" / "dim_date").tree, {}) == []
