"""Behaviour events: sessions from first page to purchase, loaded in batches every five minutes.

Appends rows only; what is sent twice stays twice, as in the real table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from lakehouse.sandbox.shop.catalog import SKEWED
from lakehouse.sandbox.shop.model import Row
from lakehouse.sandbox.shop.names import COUNTRIES, EVENT_TYPES, PAGES
from lakehouse.sandbox.shop.world import DAY, Span, World, some

#: Events become visible in batches: many rows share one loaded_at, and one batch lands on midnight.
BATCH = timedelta(minutes=5)
#: Share of all events that belong to the skewed customer.
SKEW = 0.15


def batch_end(at: datetime) -> datetime:
    """When the batch that carries an event of time `at` is loaded."""
    since = at - datetime(2000, 1, 1)
    return at + (-since % BATCH)


@dataclass
class Visitors:
    """Who comes, and what there is to look at."""

    rng: Random
    customers: dict[int, Row]
    goods: list[Row]
    known: list[int] = field(default_factory=list)
    #: Events so far, and those of the skewed customer: keeps the share exact whatever the length of sessions.
    total: int = 0
    skewed: int = 0

    def session(self, start: datetime, latest: datetime) -> list[Row]:
        """The events of one visit, none later than `latest`."""
        rng = self.rng
        if self.skewed < SKEW * self.total:
            who: int | None = SKEWED
        else:
            who = None if rng.random() < 0.35 else rng.choice(self.known)
        country = self.customers[who]["country"] if who else rng.choice(COUNTRIES)
        session_id, at, seen = f"s{rng.getrandbits(64):016x}", start, rng.choice(self.goods)
        rows: list[Row] = []
        for step in self._funnel():
            at += timedelta(milliseconds=rng.randrange(1_500, 90_000))
            if at > latest:
                break
            if step == "product_view":
                seen = rng.choice(self.goods)
            page = rng.choice(PAGES) if step == "page_view" else f"/p/{seen['sku']}"
            rows.append(
                {
                    "event_id": f"{rng.getrandbits(128):032x}",
                    "event_ts": at,
                    "event_type": step,
                    "session_id": session_id,
                    "customer_id": who,
                    "product_id": None if step == "page_view" else seen["product_id"],
                    "country": country,
                    "page_url": f"https://shop.example{page}",
                    "loaded_at": batch_end(at),
                }
            )
        self.total += len(rows)
        self.skewed += len(rows) if who == SKEWED else 0
        return rows

    def _funnel(self) -> list[str]:
        steps = [EVENT_TYPES[0]]
        for chance, step in (
            (0.8, EVENT_TYPES[1]),
            (0.75, EVENT_TYPES[1]),
            (0.4, EVENT_TYPES[2]),
            (0.6, EVENT_TYPES[3]),
        ):
            if self.rng.random() > chance:
                return steps
            steps.append(step)
        return [*steps, EVENT_TYPES[4]] if self.rng.random() < 0.8 else steps


def events_of(world: World, span: Span, count: int, known: list[int]) -> None:
    """One day of events, then what came late, came old, or came again."""
    rng = span.rng("events")
    goods = [row for row in world.current["products"].values() if not row["is_deleted"]]
    visitors = Visitors(rng, world.current["customers"], goods, known)
    rows = visitors.session(span.high - timedelta(minutes=3), span.high)
    while len(rows) < count:
        rows += visitors.session(span.moment(rng, after_hours=1), span.high)
    rows = rows[:count]
    out = world.extra["behavior_events"]
    out += rows
    if span.live:
        _late(world, span, visitors, out)
        _old(world, span, visitors, out)
        _again(world, span, rng, rows, out)
    world.last_events = rows


def _late(world: World, span: Span, visitors: Visitors, out: list[Row]) -> None:
    """Events of last evening's batches that were committed after midnight."""
    for _ in range(world.config.size(3, least=2)):
        start = span.low - timedelta(minutes=visitors.rng.randrange(25, 190))
        for row in visitors.session(start, start + timedelta(minutes=8)):
            out.append(row)
            world.plant(span.n, "behavior_events", "late", row)


def _old(world: World, span: Span, visitors: Visitors, out: list[Row]) -> None:
    """Devices that were offline for days: old events with today's loaded_at."""
    for _ in range(world.config.size(4, least=2)):
        start = span.low - timedelta(days=visitors.rng.randrange(2, 10), seconds=visitors.rng.randrange(0, 80_000))
        loaded = batch_end(span.moment(visitors.rng))
        for row in visitors.session(start, span.low - DAY):
            row["loaded_at"] = loaded
            out.append(row)
            world.plant(span.n, "behavior_events", "old_event", row)


def _again(world: World, span: Span, rng: Random, rows: list[Row], out: list[Row]) -> None:
    """At-least-once delivery: exact copies, and the same event sent anew with a later loaded_at."""
    for row in some(rng, rows, world.config.size(8, least=3)):
        out.append(dict(row))
        world.plant(span.n, "behavior_events", "duplicate", row)
    early = [row for row in rows if row["loaded_at"] < span.high - timedelta(hours=6)]
    for row in some(rng, world.last_events, 3) + some(rng, early, world.config.size(5, least=2)):
        after = max(row["loaded_at"], span.low) + BATCH * rng.randrange(1, 60)
        again = {**row, "loaded_at": after}
        out.append(again)
        world.plant(span.n, "behavior_events", "resent", again)
