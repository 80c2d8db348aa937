"""Customers and products: who joins, moves, is promoted, repriced, removed and comes back.

Writes to the world; knows nothing of orders, events or broken rows.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from lakehouse.sandbox.shop.model import Row, money
from lakehouse.sandbox.shop.names import (
    AWKWARD,
    CATEGORIES,
    CITIES,
    COUNTRIES,
    DIAL,
    FAMILY,
    GIVEN,
    MATERIALS,
    SEGMENTS,
)
from lakehouse.sandbox.shop.world import Span, World, some

#: The customer with an outsized share of orders and events; never removed.
SKEWED = 1001


def customer(rng: Random, number: int, created: datetime, updated: datetime, name: str | None = None) -> Row:
    """A new customer with made-up contacts."""
    country = rng.choice(COUNTRIES)
    full_name = name or f"{rng.choice(GIVEN)} {rng.choice(FAMILY)}"
    ascii_name = unicodedata.normalize("NFKD", full_name).encode("ascii", "ignore").decode()
    slug = "".join(c for c in ascii_name.lower() if c.isalnum())[:20] or "kunde"
    return {
        "customer_id": number,
        "email": f"{slug}.{number}@{rng.choice(('example.com', 'example.org', 'mail.example.net'))}",
        "full_name": full_name,
        "phone": f"{DIAL[country]}{rng.randrange(100):02d}",
        "segment": rng.choices(SEGMENTS, (75, 20, 5))[0],
        "city": rng.choice(CITIES[country]),
        "country": country,
        "is_deleted": False,
        "created_at": created,
        "updated_at": updated,
    }


def product(rng: Random, number: int, updated: datetime) -> Row:
    """A new product priced in EUR."""
    category = rng.choice(tuple(CATEGORIES))
    return {
        "product_id": number,
        "sku": f"{category[:3].upper()}-{number:05d}",
        "name": f"{rng.choice(MATERIALS)} {rng.choice(CATEGORIES[category])}",
        "category": category,
        "list_price": money(rng.randrange(199, 24_999)),
        "currency": "EUR",
        "is_deleted": False,
        "updated_at": updated,
    }


def open_shop(world: World, span: Span) -> None:
    """The first day: customers and goods come over from an older system in bulk, each load with one commit time."""
    rng, config = span.rng("opening"), world.config
    loaded = span.low + timedelta(minutes=30)
    for _ in range(config.size(180, least=20)):
        made = span.low - timedelta(seconds=rng.randrange(86_400, 400 * 86_400))
        world.put("customers", customer(rng, world.new_id("customers"), made, loaded))
    for _ in range(config.size(75, least=20)):
        world.put("products", product(rng, world.new_id("products"), loaded))


def customers_of(world: World, span: Span, joining: int) -> None:
    """One day of customers."""
    rng, config = span.rng("customers"), world.config
    if span.live:
        _late_customers(world, span, rng)
    for number, made in world.promised.pop("customers", []):
        world.put("customers", customer(rng, number, made, span.moment(rng)))
    for i in range(joining):
        at = span.moment(rng)
        awkward = i == 0 and (span.live or span.low.day % 4 == 0)
        name = AWKWARD[span.low.toordinal() // (1 if span.live else 4) % len(AWKWARD)] if awkward else None
        made = at - timedelta(seconds=rng.randrange(1, 600))
        world.put("customers", customer(rng, world.new_id("customers"), made, at, name))
    _comings_and_goings(world, span, rng)
    share = 1.0 if span.live else 0.3
    for key in some(rng, world.calm("customers"), config.size(6 * share, least=2)):
        world.put("customers", _moved(rng, world.current["customers"][key], span.moment(rng)))
    # The nightly scoring job commits all its rows at midnight sharp: equal cursors on the window's edge.
    for key in some(rng, world.calm("customers"), config.size(5 * share, least=2)):
        world.put("customers", _promoted(rng, world.current["customers"][key], span.high))
    if span.live:
        _restless_customer(world, span, rng)


def _moved(rng: Random, row: Row, at: datetime) -> Row:
    country = row["country"] if rng.random() < 0.7 else rng.choice([c for c in COUNTRIES if c != row["country"]])
    city = rng.choice([c for c in CITIES[country] if c != row["city"]])
    return {**row, "country": country, "city": city, "updated_at": at}


def _promoted(rng: Random, row: Row, at: datetime) -> Row:
    return {**row, "segment": rng.choice([s for s in SEGMENTS if s != row["segment"]]), "updated_at": at}


def _late_customers(world: World, span: Span, rng: Random) -> None:
    at = span.late(rng)
    joined = customer(rng, world.new_id("customers"), at - timedelta(seconds=40), at)
    known = some(rng, world.calm("customers", span.settled), 1)
    for row in [joined, *(_moved(rng, world.current["customers"][key], span.late(rng)) for key in known)]:
        world.put("customers", row)
        world.plant(span.n, "customers", "late", row)


def _comings_and_goings(world: World, span: Span, rng: Random) -> None:
    if span.live and world.deleted_customers:
        back = _moved(rng, world.current["customers"][world.deleted_customers.pop()], span.moment(rng))
        back = {**back, "is_deleted": False, "created_at": back["updated_at"] - timedelta(seconds=5)}
        world.put("customers", back)
        world.plant(span.n, "customers", "reinserted", back)
    leaving = 2 if span.live else int(span.low.day % 5 == 0)
    for key in some(rng, [k for k in world.calm("customers") if k != SKEWED], leaving):
        row = {**world.current["customers"][key], "is_deleted": True, "updated_at": span.moment(rng)}
        world.put("customers", row)
        world.deleted_customers.append(key)


def _restless_customer(world: World, span: Span, rng: Random) -> None:
    """Three changes of one customer in a day; the source keeps the last one only."""
    for key in some(rng, world.calm("customers"), 1):
        row = world.current["customers"][key]
        for at in sorted(some(rng, range(3600, 86_000), 3)):
            row = _promoted(rng, _moved(rng, row, span.low), span.low + timedelta(seconds=at))
            world.put("customers", row)
        world.plant(span.n, "customers", "several_changes", row, detail="3 changes, the last one visible")


def products_of(world: World, span: Span, joining: int) -> None:
    """One day of products: a repricing job at three in the morning, another at midnight, a few hand-made changes."""
    rng, config, now = span.rng("products"), world.config, world.current["products"]
    if span.live:
        for key in some(rng, world.calm("products", span.settled), 1):
            row = _repriced(rng, now[key], span.late(rng))
            world.put("products", row)
            world.plant(span.n, "products", "late", row)
    for number, _ in world.promised.pop("products", []):
        world.put("products", product(rng, number, span.moment(rng)))
    for _ in range(joining):
        world.put("products", product(rng, world.new_id("products"), span.moment(rng)))
    share = 1.0 if span.live else 0.2
    for at, count in ((span.low + timedelta(hours=3), 14), (span.high, 3)):
        for key in some(rng, world.calm("products"), config.size(count * share, least=2)):
            world.put("products", _repriced(rng, now[key], at))
    for key in some(rng, world.calm("products"), config.size(2 * share)):
        other = rng.choice([c for c in CATEGORIES if c != now[key]["category"]])
        world.put("products", {**now[key], "category": other, "updated_at": span.moment(rng)})
    if span.live:
        for key in some(rng, world.calm("products"), 1):
            world.put("products", {**now[key], "is_deleted": True, "updated_at": span.moment(rng)})


def _repriced(rng: Random, row: Row, at: datetime) -> Row:
    factor = Decimal(rng.choice([82, 88, 93, 105, 112, 120])) / 100
    return {**row, "list_price": (row["list_price"] * factor).quantize(Decimal("0.01")), "updated_at": at}
