"""Rows that break contract rules, each exactly one, and the repair of some of them a day later.

Broken rows have numbers of their own and never take the place of a good one, so life is the same with and without them.
A line keeps `discount = quantity * unit_price` where either factor is negative: it breaks the sign rule and no other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from lakehouse.sandbox.shop import crm, rates
from lakehouse.sandbox.shop.catalog import customer, product
from lakehouse.sandbox.shop.model import Row, money
from lakehouse.sandbox.shop.orders import line, naming, place
from lakehouse.sandbox.shop.world import Span, World, some

#: Broken rows are numbered from here on, and members that never arrive.
BROKEN, NEVER = 5_000_000, 7_000_000

#: (kind, rule, what is wrong with the row) by table.
_ORDERS: tuple[tuple[str, str, Row], ...] = (
    ("null_key", "order_id_not_null", {"order_id": None}),
    ("unknown_currency", "currency_known", {"currency": "XXX"}),
    ("unknown_status", "status_known", {"status": "teleported"}),
)
_CUSTOMERS: tuple[tuple[str, str, Row], ...] = (
    ("malformed_email", "email_wellformed", {"email": "not an e-mail@@example"}),
    ("null_key", "customer_id_not_null", {"customer_id": None}),
    ("unknown_segment", "segment_known", {"segment": "galactic"}),
)
_PRODUCTS: tuple[tuple[str, str, Row], ...] = (
    ("null_price", "list_price_not_null", {"list_price": None}),
    ("null_key", "product_id_not_null", {"product_id": None}),
    ("unknown_currency", "currency_known", {"currency": "XXX"}),
)
_LINES: tuple[tuple[str, str, Row], ...] = (
    ("null_key", "order_id_not_null", {"order_id": None}),
    ("null_key", "line_number_not_null", {"line_number": None}),
    ("negative_quantity", "quantity_positive", {"quantity": -2}),
    ("zero_quantity", "quantity_positive", {"quantity": 0}),
    ("negative_price", "unit_price_not_negative", {"unit_price": money(-499)}),
    ("discount_over_line", "discount_within_line", {}),
)
_EVENTS: tuple[tuple[str, str, Row], ...] = (
    ("null_key", "event_id_not_null", {"event_id": None}),
    ("unknown_event_type", "event_type_known", {"event_type": "telepathy"}),
    ("future_event", "event_ts_not_future", {}),
)
_CONTACTS: tuple[tuple[str, str, Row], ...] = (
    ("malformed_email", "email_wellformed", {"Email": "not an e-mail@@example"}),
)
_OPPORTUNITIES: tuple[tuple[str, str, Row], ...] = (
    ("unknown_stage", "stage_known", {"StageName": "Daydreaming"}),
    ("negative_amount", "amount_not_negative", {"Amount": money(-1)}),
)
_RATES: tuple[tuple[str, str, Row], ...] = (
    ("absurd_rate", "rate_within_bounds", {"rate": Decimal("108.341200")}),
    ("unknown_currency", "currency_known", {"currency": "XXX"}),
)


def copy_lines(world: World, span: Span) -> None:
    """Exact copies of order lines: the source enforces no key."""
    lines = [world.current["order_items"][key] for key in sorted(world.changed["order_items"])]
    lines = [row for row in lines if row["updated_at"] > span.low]
    for row in some(span.rng("copies"), lines, world.config.size(4, least=2)):
        world.extra["order_items"].append(dict(row))
        world.plant(span.n, "order_items", "duplicate", row)


def repair(world: World, span: Span) -> None:
    """Somebody mends an order and an e-mail address that broke yesterday; the order gets its lines only now."""
    rng = span.rng("repairs")
    for table, good in world.repairs:
        row = {**good, "updated_at": span.moment(rng)}
        world.extra[table].append(row)
        world.plant(span.n, table, "repaired", row)
        if table == "orders":
            goods = some(rng, _for_sale(world), 2)
            world.extra["order_items"] += [line(rng, row, i, item) for i, item in enumerate(goods, start=1)]
    world.repairs = []


def break_rows(world: World, span: Span, known: list[int]) -> None:
    """Plant this day's broken rows. The small tables get one kind a day in turn; the history gets every kind."""
    rng = span.rng("faults")
    every = span.n == 0
    turn = span.n % 3
    for _ in range(world.config.size(1)):
        _break_orders(world, span, rng, known)
        _break_lines(world, span, rng)
        for kind, rule, wrong in _EVENTS:
            _break_event(world, span, rng, kind, rule, wrong)
        _break_web(world, span)
        if span.live:
            _name_strangers(world, span, known)
        for kind, rule, wrong in _CUSTOMERS if every else (_CUSTOMERS[turn],):
            at = _odd_moment(span, rng)
            good = customer(rng, _number(world), at - timedelta(seconds=30), at)
            _add(world, span, "customers", kind, rule, good, wrong, mend=kind == "malformed_email")
        for kind, rule, wrong in _PRODUCTS if every else (_PRODUCTS[turn],):
            good = product(rng, _number(world), _odd_moment(span, rng))
            _add(world, span, "products", kind, rule, good, wrong)


def _break_orders(world: World, span: Span, rng: Random, known: list[int]) -> None:
    for kind, rule, wrong in _ORDERS:
        good = _order(world, span, rng, rng.choice(known))
        _add(world, span, "orders", kind, rule, good, wrong, mend=kind == "unknown_currency")


def _break_lines(world: World, span: Span, rng: Random) -> None:
    """Additional lines of orders that are good themselves."""
    # Day 0 would offer all of history: the last numbers are recent enough.
    hosts = sorted(world.changed["orders"])[-200:]
    for kind, rule, wrong in _LINES:
        host = world.current["orders"][rng.choice(hosts)]
        good = line(rng, host, 100 + _number(world) - BROKEN, rng.choice(_for_sale(world)))
        good = {**good, "updated_at": _odd_moment(span, rng), "quantity": 2, "discount": money(0)}
        bad = {**good, **wrong}
        amount = bad["quantity"] * bad["unit_price"]
        if kind == "discount_over_line":
            bad["discount"] = amount + money(100)
        elif amount < 0:
            bad["discount"] = amount
        _add(world, span, "order_items", kind, rule, good, bad)


def _name_strangers(world: World, span: Span, known: list[int]) -> None:
    """An order of a customer, and one of a product, that never arrive. Each row alone breaks no rule."""
    rng = span.rng("strangers")
    number = NEVER + _number(world) - BROKEN
    for table, who, goods, detail in naming(rng, number, number, known, _for_sale(world)):
        order = _order(world, span, rng, who)
        lines = [line(rng, order, i, item) for i, item in enumerate(goods, start=1)]
        world.extra["orders"].append(order)
        world.extra["order_items"] += lines
        world.plant(span.n, table, "missing_dimension", order if table == "orders" else lines[0], detail=detail)


def _break_event(world: World, span: Span, rng: Random, kind: str, rule: str, wrong: Row) -> None:
    good = rng.choice(world.last_events)
    at = _odd_moment(span, rng)
    fresh: Row = {"event_id": f"{rng.getrandbits(128):032x}", "event_ts": at - timedelta(seconds=20)}
    good = {**good, **fresh, "loaded_at": at}
    _add(world, span, "behavior_events", kind, rule, good, wrong or {"event_ts": at + timedelta(days=400)})


def _break_web(world: World, span: Span) -> None:
    """Rows of Salesforce and the rates API; commit times in whole seconds, as theirs are."""
    rng = span.rng("web faults")
    company = world.current["salesforce_accounts"][min(world.current["salesforce_accounts"])]
    for kind, rule, wrong in _CONTACTS:
        number, at = _number(world), span.moment(rng)
        good = crm.contact(customer(rng, number, at, at), company["Id"], at)
        _add(world, span, "salesforce_contacts", kind, rule, good, wrong)
    for kind, rule, wrong in _OPPORTUNITIES:
        good = crm.opportunity(rng, _number(world), company, span.moment(rng))
        _add(world, span, "salesforce_opportunities", kind, rule, good, wrong)
    for kind, rule, wrong in _RATES:
        # Between two hours, so that no good row loses its place.
        good = rates.rate("USD", span.moment(rng).replace(minute=59, second=59), Decimal("1.170000"))
        _add(world, span, "fx_rates", kind, rule, good, wrong)


def _add(world: World, span: Span, table: str, kind: str, rule: str, good: Row, wrong: Row, mend: bool = False) -> None:
    bad = {**good, **wrong}
    world.extra[table].append(bad)
    world.plant(span.n, table, kind, bad, rule)
    if mend:
        world.repairs.append((table, good))


def _order(world: World, span: Span, rng: Random, who: int) -> Row:
    """An order without lines whose number takes none of the good ones."""
    order, _ = place(world, rng, who, [], _odd_moment(span, rng))
    world.counters["orders"] -= 1
    return {**order, "order_id": _number(world)}


def _odd_moment(span: Span, rng: Random) -> datetime:
    """A commit time no other row has: null keys are told apart by it."""
    return span.moment(rng) + timedelta(microseconds=rng.randrange(1, 999_999))


def _number(world: World) -> int:
    count = world.counters["broken"] = world.counters.get("broken", 0) + 1
    return BROKEN + count


def _for_sale(world: World) -> list[Row]:
    return [row for row in world.current["products"].values() if not row["is_deleted"]]
