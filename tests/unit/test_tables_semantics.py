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


def rate(hour: datetime, value: str, /, **changed: Any) -> Row:
    return {
        "base_currency": "EUR", "currency": "USD", "rate_ts": hour, "rate": value, "published_at": hour, "_row_hash": 0,
    } | changed  # fmt: skip


def priced(lake: duckdb.DuckDBPyConnection) -> dict[int, tuple[Any, Any]]:
    """{order_id: (rate, amount in USD)} after the rates in bronze."""
    lake.execute("DELETE FROM silver.exchange_rates")
    kept(lake, "silver.exchange_rates")
    return {row["order_id"]: (row["usd_rate"], row["order_amount_usd"]) for row in run(lake, "silver.orders")}


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


def test_an_order_has_the_latest_rate_at_or_before_its_time(lake: duckdb.DuckDBPyConnection) -> None:
    just_before = NOON.replace(hour=11, minute=59, second=59, microsecond=999999)
    put(lake, "bronze.orders", order(1, order_ts=NOON), order(2, order_ts=just_before), order(3, order_ts=at(9)))
    put(lake, "bronze.order_items", *(item(n, 1, unit_price="10.00", quantity=1, discount=None) for n in (1, 2, 3)))
    put(lake, "bronze.fx_rates", rate(at(10), "1.1"), rate(NOON, "1.2"))
    assert priced(lake) == {
        1: (Decimal("1.2"), Decimal("12.00")),
        2: (Decimal("1.1"), Decimal("11.00")),
        3: (None, None),
    }


def test_a_late_rate_and_a_correction_repair_what_they_touch(lake: duckdb.DuckDBPyConnection) -> None:
    put(lake, "bronze.orders", order(1, order_ts=at(10)), order(2, order_ts=at(11)), order(3, order_ts=at(13)))
    put(lake, "bronze.order_items", *(item(n, 1, unit_price="10.00", quantity=1, discount=None) for n in (1, 2, 3)))
    put(lake, "bronze.fx_rates", rate(at(10), "1.1"), rate(NOON, "1.2"))
    assert [dollars for _, dollars in priced(lake).values()] == [Decimal(11), Decimal(11), Decimal(12)]
    put(lake, "bronze.fx_rates", rate(at(11), "1.5", published_at=at(9, day=2)))
    assert [dollars for _, dollars in priced(lake).values()] == [Decimal(11), Decimal(15), Decimal(12)]
    put(lake, "bronze.fx_rates", rate(NOON, "1.3", published_at=at(9, day=2)))
    # What was published earlier does not come back, however late it is read.
    put(lake, "bronze.fx_rates", rate(at(11), "9.9", published_at=at(11)))
    assert [dollars for _, dollars in priced(lake).values()] == [Decimal(11), Decimal(15), Decimal(13)]


def test_a_rate_holds_for_three_days_and_no_longer(lake: duckdb.DuckDBPyConnection) -> None:
    last = datetime(2025, 10, 4, 11, 59, 59, 999999)
    times = [NOON, at(0, day=2), at(23, day=3), last, at(12, day=4)]
    put(lake, "bronze.orders", *(order(n, order_ts=time) for n, time in enumerate(times)))
    put(lake, "bronze.fx_rates", rate(NOON, "1.2"))
    assert [found for found, _ in priced(lake).values()] == [Decimal("1.2")] * 4 + [None]


def test_other_currencies_go_by_way_of_the_euro_and_need_both_rates(lake: duckdb.DuckDBPyConnection) -> None:
    put(
        lake,
        "bronze.orders",
        order(1, currency="GBP"),
        order(2, currency="USD"),
        order(3, currency="GBP", order_ts=at(9)),
    )
    put(lake, "bronze.order_items", item(1, 1, unit_price="100.00", quantity=1, discount=None))
    put(lake, "bronze.fx_rates", rate(at(9), "1.25"), rate(NOON, "0.9", currency="GBP"))
    assert priced(lake) == {
        1: (Decimal("1.3888888889"), Decimal("138.89")),
        2: (Decimal(1), Decimal(0)),
        3: (None, None),
    }


def test_lines_are_rounded_one_by_one_as_the_facts_are(lake: duckdb.DuckDBPyConnection) -> None:
    put(lake, "bronze.orders", order(1))
    put(lake, "bronze.order_items", *(item(1, n, unit_price="0.02", quantity=1, discount=None) for n in (1, 2, 3)))
    put(lake, "bronze.order_items", item(1, 4, is_deleted=True))
    put(lake, "bronze.fx_rates", rate(NOON, "1.25"))
    kept(lake, "silver.exchange_rates")
    (whole,) = kept(lake, "silver.orders")
    kept(lake, "silver.order_items")
    assert (whole["lines_count"], whole["order_amount"], whole["order_amount_usd"]) == (
        3,
        Decimal("0.06"),
        Decimal("0.09"),
    )
    facts = run(lake, "gold.fact_sales")
    assert [(row["gross_amount_usd"], row["net_amount_usd"]) for row in facts] == [(Decimal("0.03"),) * 2] * 3


def test_the_shop_wins_where_it_speaks_and_sales_adds_companies(lake: duckdb.DuckDBPyConnection) -> None:
    shop = {"segment": "business", "is_deleted": False, "updated_at": NOON, "_row_hash": 0}
    sales = {"account_id": "A", "is_deleted": False, "system_modstamp": NOON, "_row_hash": 0}
    put(
        lake,
        "bronze.customers",
        shop | {"customer_id": 1, "email": "shop", "phone": "shop"},
        shop | {"customer_id": 2, "email": None, "phone": "shop"},
        shop | {"customer_id": 3, "email": "shop", "phone": "shop"},
    )
    put(
        lake,
        "bronze.salesforce_contacts",
        sales | {"contact_id": "P", "customer_id": 1, "email": "sales", "phone": "sales"},
        sales | {"contact_id": "Q", "customer_id": 2, "email": "sales", "phone": None},
        sales | {"contact_id": "R", "customer_id": 3, "email": "sales", "phone": "sales", "is_deleted": True},
        sales | {"contact_id": "S", "customer_id": 4, "email": "sales", "phone": "sales"},
    )
    put(lake, "bronze.salesforce_accounts", sales | {"account_name": "Novák Ltd", "country": "GB"})
    kept(lake, "silver.contacts")
    kept(lake, "silver.accounts")

    def found() -> list[tuple[Any, ...]]:
        names = ("customer_id", "email", "phone", "account_id", "account_name", "account_country")
        return sorted(tuple(row[name] for name in names) for row in run(lake, "silver.customers"))

    assert found() == [
        (1, "shop", "sales", "A", "Novák Ltd", "GB"),
        (2, "sales", "shop", "A", "Novák Ltd", "GB"),
        (3, "shop", "shop", None, None, None),
    ]
    # A company that sales deletes leaves its id; a person that moves takes it along.
    put(lake, "bronze.salesforce_accounts", sales | {"system_modstamp": at(13), "is_deleted": True})
    put(
        lake,
        "bronze.salesforce_contacts",
        sales | {"contact_id": "P", "customer_id": 3, "phone": "moved", "system_modstamp": at(13)},
    )
    for table in ("contacts", "accounts"):
        lake.execute(f"DELETE FROM silver.{table}")
        kept(lake, f"silver.{table}")
    assert found() == [
        (1, "shop", "shop", None, None, None),
        (2, "sales", "shop", "A", None, None),
        (3, "shop", "moved", "A", None, None),
    ]


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
