"""Exchange rates by the hour: a seeded walk with hours that stay empty, hours that come late, and corrections.

A rate's cursor is its hour. What is published later than its hour therefore lies below marks that have passed: the
table's lookback must reach it. The hour of midnight is always there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from lakehouse.sandbox.shop.model import Row
from lakehouse.sandbox.shop.names import BASE, FIRST_RATES
from lakehouse.sandbox.shop.world import Span, World

HOUR = timedelta(hours=1)
#: Hours that are never published, and hours that are published only the next day, of every hundred.
EMPTY, LATE = 4, 4


def rate(currency: str, at: datetime, value: Decimal, published_at: datetime | None = None) -> Row:
    """What one BASE is worth in `currency` at the hour `at`."""
    return {"base": BASE, "currency": currency, "rate_ts": at, "rate": value, "published_at": published_at or at}


def rates_of(world: World, span: Span) -> None:
    """One day of rates."""
    rng = span.rng("rates")
    for row in _late(world, span, rng):
        world.put("fx_rates", row)
    for number in range(1, 25):
        at = span.low + number * HOUR
        for currency, first in FIRST_RATES.items():
            last = world.rates.get(currency, Decimal(first).scaleb(-6))
            value = world.rates[currency] = last + Decimal(rng.randrange(-900, 901)).scaleb(-6)
            chance = rng.randrange(100)
            if at == span.high or chance >= EMPTY + LATE:
                world.put("fx_rates", rate(currency, at, value))
            elif chance >= EMPTY:
                world.unpublished.append(rate(currency, at, value))
            else:
                # The key alone: there is no such row.
                world.plant(span.n, "fx_rates", "missing_hour", rate(currency, at, value))


def _late(world: World, span: Span, rng: Random) -> list[Row]:
    """Hours of the day before that are published today, and one of them corrected."""
    late = [{**row, "published_at": span.moment(rng)} for row in world.unpublished]
    world.unpublished = []
    if span.live:
        for row in late:
            world.plant(span.n, "fx_rates", "late_rate", row)
        currency = rng.choice(tuple(FIRST_RATES))
        wrong = world.current["fx_rates"].get((BASE, currency, span.low))
        if wrong is not None:
            value = wrong["rate"] + Decimal(rng.randrange(1, 500)).scaleb(-6)
            late.append(rate(currency, span.low, value, span.moment(rng)))
            world.plant(span.n, "fx_rates", "corrected_rate", late[-1])
    return late
