"""What the transforms and row rules mean, on DuckDB: translated from Spark SQL, run over a handful of rows.

Not here: dim_date and the versions of dimensions, whose functions only Spark has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlglot

from lakehouse.contracts import Contract, load_contract

if TYPE_CHECKING:
    import duckdb

ROOT = Path(__file__).parents[2] / "include" / "tables"
FOLDERS = {f"{path.parent.name}.{path.name}": path for path in sorted(ROOT.glob("*/*")) if path.is_dir()}
CONTRACTS: dict[str, Contract] = {name: load_contract(folder) for name, folder in FOLDERS.items()}
MERGED = [n for n, c in CONTRACTS.items() if c.strategy == "merge" and n != "gold.dim_date"]
#: DuckDB counts in wider integers than Spark does.
INTEGERS = {"INT": "INTEGER", "BIGINT": "INTEGER", "INTEGER": "INTEGER", "HUGEINT": "INTEGER"}

Row = dict[str, Any]
NOON = datetime(2025, 10, 1, 12)


def at(hour: int, day: int = 1) -> datetime:
    return datetime(2025, 10, day, hour)


def duck(sql: str) -> str:
    return sqlglot.transpile(sql, read="spark", write="duckdb")[0]


@pytest.fixture
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    """Every table of the contracts, empty."""
    import duckdb

    with duckdb.connect() as connection:
        for layer in ("bronze", "silver", "gold"):
            connection.execute(f"CREATE SCHEMA {layer}")
        for name, contract in CONTRACTS.items():
            columns = [f"{c.name} {c.type.replace('STRING', 'VARCHAR')}" for c in contract.columns]
            columns += ["_row_hash BIGINT"] if contract.layer == "bronze" else []
            connection.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
        yield connection


def put(lake: duckdb.DuckDBPyConnection, table: str, *rows: Row) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        lake.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def run(lake: duckdb.DuckDBPyConnection, table: str) -> list[Row]:
    """The rows that the table's transform returns, ordered."""
    cursor = lake.execute(duck((FOLDERS[table] / "transform.sql").read_text()))
    names = [column[0] for column in cursor.description]
    return sorted((dict(zip(names, row, strict=True)) for row in cursor.fetchall()), key=repr)


def kept(lake: duckdb.DuckDBPyConnection, table: str) -> list[Row]:
    """Run the table's transform and keep the result as the table."""
    rows = run(lake, table)
    put(lake, table, *rows)
    return rows


def order(order_id: int, /, **changed: Any) -> Row:
    return {
        "order_id": order_id, "customer_id": 1, "order_ts": NOON, "status": "placed", "currency": "EUR",
        "country": "CZ", "is_deleted": False, "updated_at": NOON, "_row_hash": 0,
    } | changed  # fmt: skip


def item(order_id: int, line_number: int = 1, /, **changed: Any) -> Row:
    return {
        "order_id": order_id, "line_number": line_number, "product_id": 7, "quantity": 3, "unit_price": "9.99",
        "discount": "0.97", "is_deleted": False, "updated_at": NOON, "_row_hash": 0,
    } | changed  # fmt: skip


def event(event_id: str, /, **changed: Any) -> Row:
    return {
        "event_id": event_id, "event_ts": NOON, "event_type": "page_view", "session_id": "s", "customer_id": 1,
        "product_id": 7, "country": "CZ", "page_url": "/", "loaded_at": NOON, "_row_hash": 0,
    } | changed  # fmt: skip


def version(entity: str, sk: int, key: int, since: datetime, until: datetime) -> Row:
    return {f"{entity}_sk": sk, f"{entity}_id": key, "valid_from": since, "valid_to": until, "is_current": False}


@pytest.mark.parametrize("table", MERGED)
def test_types_are_those_of_the_contract(lake: duckdb.DuckDBPyConnection, table: str) -> None:
    described = lake.execute("DESCRIBE " + duck((FOLDERS[table] / "transform.sql").read_text())).fetchall()
    found = {name: INTEGERS.get(kind, kind.replace("VARCHAR", "STRING")) for name, kind, *_ in described}
    assert found == {c.name: INTEGERS.get(c.type, c.type) for c in CONTRACTS[table].columns}


def test_the_latest_state_wins_whatever_the_order_of_arrival(lake: duckdb.DuckDBPyConnection) -> None:
    put(
        lake,
        "bronze.orders",
        order(1, status="shipped", updated_at=at(15)),
        order(1),
        order(1, status="paid", updated_at=at(13)),
    )
    assert [(row["order_id"], row["status"]) for row in run(lake, "silver.orders")] == [(1, "shipped")]


def test_equal_cursors_are_decided_by_the_row_hash(lake: duckdb.DuckDBPyConnection) -> None:
    put(lake, "bronze.orders", order(1, status="paid", _row_hash=5), order(1, status="shipped", _row_hash=-5))
    assert [row["status"] for row in run(lake, "silver.orders")] == ["paid"]


@pytest.mark.parametrize(
    ("table", "make"),
    [
        ("orders", lambda **c: order(1, **c)),
        ("order_items", lambda **c: item(1, **c)),
        ("customers", lambda **c: {"customer_id": 1, "segment": "vip", "_row_hash": 0} | c),
        ("products", lambda **c: {"product_id": 1, "sku": "A", "name": "B", "_row_hash": 0} | c),
    ],
)
def test_a_deleted_key_is_gone_until_it_is_inserted_again(
    lake: duckdb.DuckDBPyConnection, table: str, make: Callable[..., Row]
) -> None:
    put(lake, f"bronze.{table}", make(is_deleted=False, updated_at=at(1)), make(is_deleted=True, updated_at=at(2)))
    assert run(lake, f"silver.{table}") == []
    put(lake, f"bronze.{table}", make(is_deleted=False, updated_at=at(3)))
    assert len(run(lake, f"silver.{table}")) == 1


def test_an_order_belongs_to_its_day_in_utc(lake: duckdb.DuckDBPyConnection) -> None:
    last = datetime(2025, 10, 1, 23, 59, 59, 999999)
    put(lake, "bronze.orders", order(1, order_ts=last), order(2, order_ts=at(0, day=2)))
    assert [row["order_date"] for row in run(lake, "silver.orders")] == [date(2025, 10, 1), date(2025, 10, 2)]


def test_a_line_amount_is_exact_and_no_discount_is_zero(lake: duckdb.DuckDBPyConnection) -> None:
    put(lake, "bronze.order_items", item(1), item(2, discount=None))
    first, second = run(lake, "silver.order_items")
    assert (first["line_amount"], first["discount"]) == (Decimal("29.00"), Decimal("0.97"))
    assert (second["line_amount"], second["discount"]) == (Decimal("29.97"), Decimal("0.00"))


def test_an_event_sent_again_counts_once_as_last_delivered(lake: duckdb.DuckDBPyConnection) -> None:
    put(lake, "bronze.behavior_events", event("a", page_url="/new", loaded_at=at(14)), event("a", page_url="/old"))
    (row,) = run(lake, "silver.behavior_events")
    assert (row["page_url"], row["loaded_at"]) == ("/new", at(14))


def test_activity_joins_both_sources_without_multiplying(lake: duckdb.DuckDBPyConnection) -> None:
    put(lake, "bronze.orders", order(1), order(2, status="cancelled", order_ts=at(18)), order(3, customer_id=2))
    put(
        lake,
        "bronze.behavior_events",
        event("a", event_ts=at(9)),
        event("b", event_ts=at(10), event_type="purchase"),
        event("c", event_ts=at(11), session_id="t"),
        event("d", customer_id=3, event_ts=at(20)),
        event("e", customer_id=None),
    )
    kept(lake, "silver.orders")
    kept(lake, "silver.behavior_events")
    both, buyer, visitor = sorted(run(lake, "silver.customer_activity"), key=lambda row: row["customer_id"])
    assert both == {
        "customer_id": 1,
        "orders_count": 2,
        "cancelled_orders_count": 1,
        "first_order_ts": NOON,
        "last_order_ts": at(18),
        "events_count": 3,
        "sessions_count": 2,
        "purchases_count": 1,
        "last_event_ts": at(11),
        "last_seen_ts": at(18),
    }
    assert (buyer["customer_id"], buyer["events_count"], buyer["last_event_ts"], buyer["last_seen_ts"]) == (
        2,
        0,
        None,
        NOON,
    )
    assert (visitor["customer_id"], visitor["orders_count"], visitor["last_order_ts"]) == (3, 0, None)
    assert visitor["last_seen_ts"] == at(20)


def test_a_sale_finds_the_version_that_held_when_it_was_made(lake: duckdb.DuckDBPyConnection) -> None:
    born, end = datetime(1900, 1, 1), datetime(9999, 12, 31)
    put(lake, "gold.dim_customer", version("customer", 11, 1, born, NOON), version("customer", 12, 1, NOON, end))
    put(lake, "gold.dim_product", version("product", 71, 7, born, end), version("product", -1, -1, born, end))
    put(lake, "bronze.orders", order(1, order_ts=at(11)), order(2), order(3, customer_id=99))
    put(lake, "bronze.order_items", item(1), item(2), item(3, product_id=98), item(404))
    kept(lake, "silver.orders")
    kept(lake, "silver.order_items")
    rows = sorted(run(lake, "gold.fact_sales"), key=lambda row: row["order_id"])
    assert [(r["order_id"], r["customer_sk"], r["product_sk"]) for r in rows] == [(1, 11, 71), (2, 12, 71), (3, -1, -1)]
    assert [(r["date_key"], r["gross_amount"], r["net_amount"]) for r in rows[:1]] == [
        (20251001, Decimal("29.97"), Decimal("29.00"))
    ]
    assert rows[2]["customer_id"] == 99


def test_an_event_finds_its_versions_and_a_stranger_is_unknown(lake: duckdb.DuckDBPyConnection) -> None:
    born, left = datetime(1900, 1, 1), at(10)
    put(lake, "gold.dim_customer", version("customer", 11, 1, born, left), version("customer", -1, -1, born, left))
    put(
        lake,
        "bronze.behavior_events",
        event("a", event_ts=at(9)),
        event("b"),
        event("c", customer_id=None, product_id=None),
    )
    kept(lake, "silver.behavior_events")
    rows = sorted(run(lake, "gold.fact_behavior"), key=lambda row: row["event_id"])
    assert [(r["customer_sk"], r["product_sk"], r["date_key"]) for r in rows] == [
        (11, -1, 20251001),
        (-1, -1, 20251001),
        (-1, -1, 20251001),
    ]


def broken(lake: duckdb.DuckDBPyConnection, table: str, row: Row) -> set[str]:
    """Names of the row rules that `row`, alone in its table, breaks."""
    put(lake, table, row)
    return {
        rule.name
        for rule in CONTRACTS[table].row_rules
        if not lake.execute(
            f"SELECT coalesce(({duck('SELECT ' + rule.predicate)[7:]}), false) FROM {table}"
        ).fetchone()[0]  # type: ignore[index]
    }


@pytest.mark.parametrize(
    ("table", "row", "rules"),
    [
        ("bronze.orders", order(1), set()),
        ("bronze.orders", order(1, order_id=None), {"order_id_not_null"}),
        ("bronze.orders", order(1, status="teleported"), {"status_known"}),
        ("bronze.orders", order(1, currency="XXX"), {"currency_known"}),
        ("bronze.orders", order(1, order_ts=datetime(1970, 1, 1)), {"order_ts_in_calendar"}),
        ("bronze.orders", order(1, order_ts=datetime(2031, 1, 1)), {"order_ts_in_calendar"}),
        ("bronze.orders", order(1, order_ts=None), {"order_ts_not_null"}),
        ("bronze.order_items", item(1), set()),
        ("bronze.order_items", item(1, quantity=0, discount=0), {"quantity_positive"}),
        ("bronze.order_items", item(1, quantity=-2), {"quantity_positive"}),
        ("bronze.order_items", item(1, quantity=None), {"quantity_not_null"}),
        ("bronze.order_items", item(1, unit_price="-0.01"), {"unit_price_not_negative"}),
        ("bronze.order_items", item(1, unit_price=0, discount=0), set()),
        ("bronze.order_items", item(1, discount="29.97"), set()),
        ("bronze.order_items", item(1, discount="29.98"), {"discount_within_line"}),
        ("bronze.order_items", item(1, discount="-0.01"), {"discount_within_line"}),
        ("bronze.order_items", item(1, discount=None), set()),
        ("bronze.behavior_events", event("a"), set()),
        ("bronze.behavior_events", event("a", event_ts=at(12, day=2)), set()),
        ("bronze.behavior_events", event("a", event_ts=at(13, day=2)), {"event_ts_not_future"}),
        ("bronze.behavior_events", event("a", event_ts=datetime(1970, 1, 1)), {"event_ts_in_calendar"}),
        ("bronze.behavior_events", event("a", event_type="telepathy"), {"event_type_known"}),
        ("bronze.behavior_events", event("a", loaded_at=None), {"loaded_at_not_null"}),
    ],
)
def test_a_row_breaks_the_rule_of_its_fault_and_no_other(
    lake: duckdb.DuckDBPyConnection, table: str, row: Row, rules: set[str]
) -> None:
    assert broken(lake, table, row) == rules
