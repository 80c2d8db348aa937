"""The generated shop: the same for everyone, inside its windows, and exactly as broken as its manifest says."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.sandbox.shop import DayChanges, Planted, Shop, ShopConfig, ShopError
from lakehouse.sandbox.shop.model import TABLES, WAREHOUSES, Row

#: What the contracts say, written down a second time: true where a row breaks the rule.
BREAKS: dict[str, dict[str, Callable[[Row], bool]]] = {
    "orders": {
        "order_id_not_null": lambda r: r["order_id"] is None,
        "currency_known": lambda r: r["currency"] not in {"USD", "EUR", "GBP"},
        "status_known": lambda r: (
            r["status"] not in {"placed", "paid", "shipped", "delivered", "cancelled", "returned"}
        ),
    },
    "order_items": {
        "order_id_not_null": lambda r: r["order_id"] is None,
        "line_number_not_null": lambda r: r["line_number"] is None,
        "quantity_positive": lambda r: r["quantity"] <= 0,
        "unit_price_not_negative": lambda r: r["unit_price"] < 0,
        "discount_within_line": lambda r: r["discount"] > r["quantity"] * r["unit_price"],
    },
    "customers": {
        "customer_id_not_null": lambda r: r["customer_id"] is None,
        "email_wellformed": lambda r: not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", r["email"]),
        "segment_known": lambda r: r["segment"] not in {"consumer", "business", "vip"},
    },
    "products": {
        "product_id_not_null": lambda r: r["product_id"] is None,
        "list_price_not_null": lambda r: r["list_price"] is None,
        "currency_known": lambda r: r["currency"] not in {"USD", "EUR", "GBP"},
    },
    "behavior_events": {
        "event_id_not_null": lambda r: r["event_id"] is None,
        "event_type_known": lambda r: (
            r["event_type"] not in {"page_view", "product_view", "add_to_cart", "checkout", "purchase"}
        ),
        "event_ts_not_future": lambda r: r["event_ts"] > r["loaded_at"] + timedelta(days=1),
    },
    "salesforce_accounts": {},
    "salesforce_contacts": {
        "email_wellformed": lambda r: not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", r["Email"]),
    },
    "salesforce_opportunities": {
        "stage_known": lambda r: (
            r["StageName"] not in {"Prospecting", "Proposal", "Negotiation", "Closed Won", "Closed Lost"}
        ),
        "amount_not_negative": lambda r: r["Amount"] < 0,
    },
    "fx_rates": {
        "currency_known": lambda r: r["currency"] not in {"USD", "GBP"},
        "rate_within_bounds": lambda r: not Decimal("0.2") <= r["rate"] <= 5,
    },
}
#: Tables whose rows come late, and by how much at most.
LATE = {name: timedelta(minutes=200) for name, table in TABLES.items() if table.source in WAREHOUSES}
LATE["fx_rates"] = timedelta(days=1)
EVERY_RULE = {(table, rule) for table, rules in BREAKS.items() for rule in rules}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


def digest(shop: Shop, n: int) -> str:
    day = shop.day(n)
    text = repr([(name, list(change.tuples())) for name, change in day.changes.items()]) + repr(day.planted)
    return hashlib.sha256(text.encode()).hexdigest()


def place_of(table: str, row: Row) -> tuple[str, str, datetime]:
    spec = TABLES[table]
    return table, repr([row[name] for name in spec.key]), row[spec.cursor]


def planted(day: DayChanges, *kinds: str) -> Counter[tuple[str, str, datetime]]:
    return Counter(where(entry) for entry in day.planted if entry.kind in kinds)


def where(entry: Planted) -> tuple[str, str, datetime]:
    return entry.table, repr(list(entry.key.values())), entry.cursor


def check_rules(day: DayChanges) -> None:
    """Exactly the rows of the manifest break rules, and each breaks exactly the rule it is there for."""
    found = Counter(
        (place_of(name, row), rule)
        for name, change in day.changes.items()
        for row in change.rows()
        for rule, breaks in BREAKS[name].items()
        if breaks(row)
    )
    assert found == Counter((where(entry), entry.rule) for entry in day.planted if entry.rule)


def check_windows(day: DayChanges) -> None:
    """Cursors lie in (low, high]; the late ones do not, but within what their table's lookback reaches."""
    late: Counter[tuple[str, str, datetime]] = Counter()
    for name, change in day.changes.items():
        for row in change.rows():
            cursor = row[change.table.cursor]
            assert cursor <= day.high
            if cursor <= day.low:
                late[place_of(name, row)] += 1
                least = timedelta(minutes=10) if change.table.source in WAREHOUSES else timedelta()
                assert least <= day.low - cursor <= LATE[name]
        # A tiny shop may have no contact that was not changed today.
        if change.table.source != "salesforce":
            assert day.high in change.data[change.table.cursor], f"{name}: nothing at midnight on day {day.n}"
    assert late == planted(day, "late", "late_rate", "corrected_rate")
    assert {name for name, _, _ in late} == (set() if day.n == 0 else set(LATE))


def check_money(day: DayChanges) -> None:
    for change in day.changes.values():
        for column in change.table.columns:
            if column.kind == "money":
                for value in change.data[column.name]:
                    assert value is None or (type(value) is Decimal and value.as_tuple().exponent == -2)
            if column.kind == "rate":
                assert {value.as_tuple().exponent for value in change.data[column.name]} == {-6}


@given(seed=st.integers(0, 2**31), days=st.integers(0, 4))
def test_any_seed_keeps_its_promises(seed: int, days: int) -> None:
    shop = Shop(ShopConfig(seed=seed, scale=0.05))
    newest: dict[tuple[str, str], datetime] = {}
    for n in range(days + 1):
        day = shop.day(n)
        check_rules(day)
        check_windows(day)
        check_money(day)
        for name, change in day.changes.items():
            if change.table.append:
                continue
            rows = {place_of(name, row) for row in change.rows()}
            for table, key, cursor in rows:
                # A rate that is corrected keeps its hour.
                before = newest.get((table, key), datetime.min)
                assert cursor > before or "None" in key or (table == "fx_rates" and cursor == before)
                newest[table, key] = cursor


@pytest.mark.parametrize("n", range(4))
def test_a_default_day_keeps_its_promises(shop: Shop, n: int) -> None:
    check_rules(shop.day(n))
    check_windows(shop.day(n))
    check_money(shop.day(n))


@pytest.mark.parametrize("days", [range(3), range(1, 4)])
def test_three_days_hold_every_kind_of_fault(shop: Shop, days: range) -> None:
    assert {(e.table, e.rule) for n in days for e in shop.manifest(n) if e.rule} == EVERY_RULE


def test_three_days_hold_every_kind_of_life(shop: Shop) -> None:
    life = {e.kind for n in (1, 2, 3) for e in shop.manifest(n) if e.rule is None}
    assert life == {
        "late", "duplicate", "resent", "old_event", "midnight", "equal_cursors", "soft_delete", "reinserted",
        "several_changes", "late_dimension", "missing_dimension", "awkward_text", "repaired",
        "deleted_record", "missing_hour", "late_rate", "corrected_rate",
    }  # fmt: skip
    deleted = {e.table for n in (1, 2, 3) for e in shop.manifest(n) if e.kind == "soft_delete"}
    assert deleted == {"customers", "products", "order_items"}


def test_the_order_of_asking_does_not_matter() -> None:
    forwards, backwards = Shop(ShopConfig(scale=0.2)), Shop(ShopConfig(scale=0.2))
    assert [digest(forwards, n) for n in range(4)] == [digest(backwards, n) for n in (3, 2, 1, 0)][::-1]
    assert digest(forwards, 2) == digest(Shop(ShopConfig(scale=0.2)), 2)


def test_hash_order_does_not_matter() -> None:
    script = "from test_shop_generator import *; print(digest(Shop(ShopConfig(scale=0.1)), 2))"
    here = str(Path(__file__).parent)
    seen = {
        subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": here},
            capture_output=True, text=True, check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert seen == {digest(Shop(ShopConfig(scale=0.1)), 2)}


def test_another_seed_is_another_shop(shop: Shop) -> None:
    assert digest(shop, 1) != digest(Shop(ShopConfig(seed=8)), 1)


def test_without_faults_the_life_is_the_same(shop: Shop) -> None:
    clean = Shop(ShopConfig(faults=False))
    for n in range(4):
        assert not [e for e in clean.manifest(n) if e.rule or e.kind in ("repaired", "missing_dimension")]
        for name, change in clean.day(n).changes.items():
            assert not Counter(change.tuples()) - Counter(shop.day(n).changes[name].tuples())


def test_a_contact_follows_its_customer_and_an_account_comes_before_who_names_it(shop: Shop) -> None:
    """Salesforce and the shop know the same people; whom the shop deletes is deleted there the same day."""
    accounts: set[str] = set()
    for n in range(4):
        changes = shop.day(n).changes
        customers = {row["customer_id"]: row for row in changes["customers"].rows()}
        accounts |= set(changes["salesforce_accounts"].data["Id"])
        contacts = [r for r in changes["salesforce_contacts"].rows() if r["ShopCustomerId__c"] in customers]
        assert contacts
        for row in contacts:
            customer = customers[row["ShopCustomerId__c"]]
            assert (row["Email"], row["IsDeleted"]) == (customer["email"], customer["is_deleted"])
        for table in ("salesforce_contacts", "salesforce_opportunities"):
            assert set(changes[table].data["AccountId"]) <= accounts
        assert all(len(key) == 18 for key in accounts)
        assert {row["SystemModstamp"].microsecond for row in contacts} == {0}
        for table in ("salesforce_accounts", "salesforce_contacts", "salesforce_opportunities"):
            assert changes[table].data["SystemModstamp"].count(shop.day(n).high) > 5, "ties at midnight"


def test_rates_have_every_hour_but_the_missing_and_the_late(shop: Shop) -> None:
    hours: set[tuple[str, datetime]] = set()
    absent: set[tuple[str, datetime]] = set()
    for n in range(4):
        day = shop.day(n)
        whole = [r for r in day.changes["fx_rates"].rows() if r["rate_ts"].minute == 0 and r["currency"] != "XXX"]
        hours |= {(row["currency"], row["rate_ts"]) for row in whole}
        absent |= {(e.key["currency"], e.cursor) for e in day.planted if e.kind == "missing_hour"}
    (low, _), (last, high) = shop.config.window(0), shop.config.window(3)
    every = {(c, low + timedelta(hours=h)) for c in ("USD", "GBP") for h in range(1, (high - low).days * 24 + 1)}
    assert hours & absent == set()
    # What the last day keeps back is published the day after.
    assert all(at > last for _, at in every - hours - absent)
    assert len(every - hours - absent) < 10 < len(absent)


def test_sizes_and_shares(shop: Shop) -> None:
    sizes = [{name: len(change) for name, change in shop.day(n).changes.items()} for n in (0, 1)]
    assert 280 < sizes[0]["customers"] < 320 and 70 < sizes[0]["products"] < 90
    assert 1500 <= sizes[0]["orders"] < 1520 and 2.3 < sizes[0]["order_items"] / sizes[0]["orders"] < 2.7
    assert 4000 <= sizes[0]["behavior_events"] < 4100 and 1500 < sizes[1]["behavior_events"] < 1600
    visitors = Counter(shop.day(1).changes["behavior_events"].data["customer_id"])
    total = sum(visitors.values())
    assert 0.13 < visitors[1001] / total < 0.17
    assert 0.2 < visitors[None] / total < 0.45
    assert len(Shop(ShopConfig(scale=3)).day(1).changes["behavior_events"]) > 4500


def test_copies_and_resent_events_are_what_the_manifest_says(shop: Shop) -> None:
    sent: dict[str, set[datetime]] = {}
    for n in range(4):
        day = shop.day(n)
        for name in ("behavior_events", "order_items"):
            copies = Counter(
                {row: count - 1 for row, count in Counter(day.changes[name].tuples()).items() if count > 1}
            )
            listed = [where(e) for e in day.planted if e.kind == "duplicate" and e.table == name]
            names = TABLES[name].names
            assert Counter(place_of(name, dict(zip(names, r, strict=True))) for r in copies.elements()) == Counter(
                listed
            )
        events = day.changes["behavior_events"]
        pairs = set(zip(events.data["event_id"], events.data["loaded_at"], strict=True)) - {(None, None)}
        for event_id, loaded in sorted((p for p in pairs if p[0]), key=lambda p: p[1]):
            if event_id in sent and loaded not in sent[event_id]:
                assert ("behavior_events", repr([event_id]), loaded) in planted(day, "resent")
                assert loaded > max(sent[event_id])
            sent.setdefault(event_id, set()).add(loaded)
        again = [e for e in day.planted if e.kind == "resent"]
        assert all(len(sent[e.key["event_id"]]) > 1 for e in again)


def test_unknown_members_come_a_day_later_or_never(shop: Shop) -> None:
    known: dict[str, set[int]] = {"customers": set(), "products": set()}
    for n in range(4):
        day = shop.day(n)
        for table, key in (("customers", "customer_id"), ("products", "product_id")):
            known[table] |= set(day.changes[table].data[key])
        for table, member, key in (
            ("orders", "customers", "customer_id"),
            ("order_items", "products", "product_id"),
        ):
            strangers = {row[key] for row in day.changes[table].rows() if row[key] not in known[member]}
            for stranger in strangers:
                comes = stranger in shop.day(n + 1).changes[member].data[key]
                assert comes or stranger >= 7_000_000
            kinds = {e.kind for e in day.planted if e.table == table}
            assert n == 0 or {"late_dimension", "missing_dimension"} <= kinds
            assert bool(strangers) == (n > 0)


def test_a_shop_must_make_sense() -> None:
    with pytest.raises(ShopError, match="no rows"):
        ShopConfig(scale=0)
    with pytest.raises(ShopError, match="no day -1"):
        Shop().day(-1)
