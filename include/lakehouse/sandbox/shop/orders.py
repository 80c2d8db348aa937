"""Orders and their lines: placing, moving from status to status, losing a line, arriving late.

Writes to the world; the members an order names come from `catalog`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from random import Random

from lakehouse.sandbox.shop.catalog import SKEWED
from lakehouse.sandbox.shop.model import Row, money
from lakehouse.sandbox.shop.names import COUNTRIES, CURRENCY, STATUSES
from lakehouse.sandbox.shop.world import DAY, Span, World, some

#: Orders never go back: a move to a lower or equal rank is dropped.
RANK = {"placed": 0, "paid": 1, "shipped": 2, "delivered": 3, "cancelled": 4, "returned": 4}
#: What one EUR buys when a price is quoted; only roughly true, as in shops.
RATE = {"EUR": Decimal(1), "USD": Decimal("1.17"), "GBP": Decimal("0.87")}


def buyers(world: World) -> list[int]:
    """Customers whom orders of the day may name: known before the day begins, or brought over at the opening."""
    return [key for key, row in world.current["customers"].items() if not row["is_deleted"]]


def place(world: World, rng: Random, customer_id: int, products: list[Row], at: datetime) -> tuple[Row, list[Row]]:
    """A new order with one line a product, committed seconds after the click."""
    known = world.current["customers"].get(customer_id)
    country = known["country"] if known else rng.choice(COUNTRIES)
    order = {
        "order_id": world.new_id("orders"),
        "customer_id": customer_id,
        "order_ts": at - timedelta(seconds=rng.randrange(1, 45)),
        "status": STATUSES[0],
        "currency": CURRENCY.get(country, "EUR"),
        "country": country,
        "is_deleted": False,
        "updated_at": at,
    }
    return order, [line(rng, order, i, goods) for i, goods in enumerate(products, start=1)]


def line(rng: Random, order: Row, number: int, goods: Row) -> Row:
    """One line of `order`; a quarter of the lines carry a discount of 5 to 20 percent."""
    price = (goods["list_price"] * RATE[order["currency"]]).quantize(Decimal("0.01"))
    quantity = rng.choices((1, 2, 3, 4, 12), (60, 22, 9, 6, 3))[0]
    cut = Decimal(rng.choice((0, 0, 0, rng.randrange(5, 21)))) / 100
    return {
        "order_id": order["order_id"],
        "line_number": number,
        "product_id": goods["product_id"],
        "quantity": quantity,
        "unit_price": price,
        "discount": (price * quantity * cut).quantize(Decimal("0.01"), ROUND_DOWN),
        "is_deleted": False,
        "updated_at": order["updated_at"],
    }


def commit(world: World, order: Row, lines: list[Row]) -> None:
    """Put an order and its lines into the world."""
    world.put("orders", order)
    for row in lines:
        world.put("order_items", row)


def schedule(world: World, rng: Random, order: Row, after: datetime) -> None:
    """Plan the moves of an order's life, those after `after`: carriers report in batches, some exactly at midnight."""
    at: datetime = order["updated_at"]
    if rng.random() < 0.05:
        plan = [(at + timedelta(minutes=rng.randrange(30, 1200)), "cancelled")]
    else:
        day = at.replace(hour=0, minute=0, second=0)
        shipped = day + timedelta(days=1, hours=18)
        delivered = shipped + timedelta(days=rng.randrange(1, 4), seconds=rng.randrange(3600, 20_000))
        if rng.random() < 0.1:
            delivered = delivered.replace(hour=0, minute=0, second=0)
        plan = [(at + timedelta(minutes=rng.randrange(5, 300)), "paid"), (shipped, "shipped"), (delivered, "delivered")]
        if rng.random() < 0.04:
            plan.append((delivered + timedelta(days=rng.randrange(3, 7), minutes=rng.randrange(600)), "returned"))
    for moment, status in plan:
        if moment > after:
            # A move at midnight sharp belongs to the day that ends there.
            world.moves[(moment - timedelta(microseconds=1)).date()].append((moment, order["order_id"], status))


def orders_of(world: World, span: Span, count: int, known: list[int]) -> None:
    """One day of orders by customers in `known`."""
    rng = span.rng("orders")
    goods = [row for row in world.current["products"].values() if not row["is_deleted"]]
    moving = {order_id for _, order_id, _ in world.moves[span.low.date()]}
    if span.live:
        _late_orders(world, span, rng, known, goods, moving)
    # Two orders of every day are committed at midnight sharp.
    times = [*sorted(span.moment(rng, after_hours=2) for _ in range(count - 2)), span.high, span.high]
    for at in times:
        who = SKEWED if rng.random() < 0.15 else rng.choice(known)
        lines = some(rng, goods, rng.choices((1, 2, 3, 4, 5), (25, 30, 25, 12, 8))[0])
        order, rows = place(world, rng, who, lines, at)
        commit(world, order, rows)
        schedule(world, rng, order, after=at)
    if span.live:
        _early_orders(world, span, rng, known, goods)
    for at, order_id, status in sorted(world.moves.pop(span.low.date(), [])):
        _move(world, order_id, status, at)
    _drop_lines(world, span, rng)


def _move(world: World, order_id: int, status: str, at: datetime) -> None:
    row = world.current["orders"][order_id]
    if RANK[status] > RANK[row["status"]]:
        world.put("orders", {**row, "status": status, "updated_at": at})


def _late_orders(world: World, span: Span, rng: Random, known: list[int], goods: list[Row], moving: set[int]) -> None:
    """New orders and status moves whose cursor is yesterday's and which appear only today."""
    for _ in range(world.config.size(3, least=2)):
        order, rows = place(world, rng, rng.choice(known), some(rng, goods, rng.randrange(1, 4)), span.late(rng))
        commit(world, order, rows)
        # Nothing may touch it again today, or its late cursor would not be seen.
        schedule(world, rng, order, after=span.high)
        world.plant(span.n, "orders", "late", order)
        for row in rows:
            world.plant(span.n, "order_items", "late", row)
    waiting = [
        key
        for key in world.calm("orders", span.settled)
        if key not in moving and world.current["orders"][key]["status"] in ("placed", "paid", "shipped")
    ]
    for key in some(rng, waiting, 2):
        status = STATUSES[RANK[world.current["orders"][key]["status"]] + 1]
        _move(world, key, status, span.late(rng))
        world.plant(span.n, "orders", "late", world.current["orders"][key])


def naming(
    rng: Random, customer_id: int, product_id: int, known: list[int], goods: list[Row]
) -> list[tuple[str, int, list[Row], str]]:
    """Orders of a customer, and of a product, whom nobody knows: (table that names them, who orders, what, words)."""
    new = {"product_id": product_id, "list_price": money(rng.randrange(500, 9_000))}
    return [
        ("orders", customer_id, some(rng, goods, 2), f"customer_id {customer_id}"),
        ("order_items", rng.choice(known), [new], f"product_id {product_id}"),
    ]


def _early_orders(world: World, span: Span, rng: Random, known: list[int], goods: list[Row]) -> None:
    """Orders that name a member which arrives tomorrow."""
    at = span.moment(rng, after_hours=12)
    who, what = world.new_id("customers"), world.new_id("products")
    world.promised["customers"].append((who, at - timedelta(seconds=90)))
    world.promised["products"].append((what, at))
    for table, customer, lines, detail in naming(rng, who, what, known, goods):
        order, rows = place(world, rng, customer, lines, at)
        commit(world, order, rows)
        schedule(world, rng, order, after=span.high)
        world.plant(span.n, table, "late_dimension", order if table == "orders" else rows[0], detail=detail)


def _drop_lines(world: World, span: Span, rng: Random) -> None:
    """Lines taken off orders of the day before: soft deletes."""
    recent = [
        key
        for key in world.calm("order_items", span.settled)
        if key[1] > 1 and world.current["order_items"][key]["updated_at"] > span.low - 2 * DAY
    ]
    for key in some(rng, recent, world.config.size(2) if span.live else 1):
        row = {**world.current["order_items"][key], "is_deleted": True, "updated_at": span.moment(rng)}
        world.put("order_items", row)
