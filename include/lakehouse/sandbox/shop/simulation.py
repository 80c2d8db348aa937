"""The shop, day by day: replays its days in memory and cuts what each commits to the sources.

Deterministic: day n depends on the configuration and n alone, whatever was asked before. It touches no database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from lakehouse.sandbox.shop import catalog, crm, events, faults, orders, rates
from lakehouse.sandbox.shop.model import Change, DayChanges, Planted, Row, ShopConfig
from lakehouse.sandbox.shop.names import AWKWARD
from lakehouse.sandbox.shop.world import DAY, Span, World

#: Sizes at scale 1: a history of the shop's opening weeks, then busy days.
HISTORY_ORDERS, HISTORY_EVENTS, HISTORY_CUSTOMERS = 1500, 4000, 120
DAY_ORDERS, DAY_EVENTS, DAY_CUSTOMERS = 120, 1500, 6


class Shop:
    """A seeded shop; ask it for any day."""

    def __init__(self, config: ShopConfig | None = None) -> None:
        """Open the shop; nothing is simulated before a day is asked for."""
        self.config = config or ShopConfig()
        self._world = World(self.config)
        self._days: list[DayChanges] = []

    def day(self, n: int) -> DayChanges:
        """What day `n` commits; 0 is the history. Earlier days are replayed as needed and kept."""
        self.config.window(n)
        while len(self._days) <= n:
            self._days.append(self._next(len(self._days)))
        return self._days[n]

    def manifest(self, n: int) -> list[Planted]:
        """What was planted on day `n`: broken rows with the rule they break, and life with rule None."""
        return list(self.day(n).planted)

    def _next(self, n: int) -> DayChanges:
        low, high = self.config.window(n)
        span = self._history() if n == 0 else self._simulate(Span(self.config.seed, n, low))
        faults.copy_lines(self._world, span)
        if self.config.faults:
            faults.repair(self._world, span)
            faults.break_rows(self._world, span, orders.buyers(self._world))
        planted = self._world.planted
        changes = self._world.cut()
        return DayChanges(n, low, high, changes, (*planted, *_observed(n, high, changes)))

    def _history(self) -> Span:
        low, high = self.config.window(0)
        days, size = (high - low) // DAY, self.config.size
        for i in range(days):
            span = Span(self.config.seed, 0, low + timedelta(days=i), first=i == 0)
            self._simulate(
                span,
                new_orders=_share(size(HISTORY_ORDERS), i, days),
                new_events=_share(size(HISTORY_EVENTS), i, days),
                joining=_share(size(HISTORY_CUSTOMERS), i, days),
            )
        return span

    def _simulate(
        self, span: Span, new_orders: int | None = None, new_events: int | None = None, joining: int | None = None
    ) -> Span:
        world, size = self._world, self.config.size
        world.touched.clear()
        if span.first:
            catalog.open_shop(world, span)
        known = orders.buyers(world)
        catalog.customers_of(world, span, size(DAY_CUSTOMERS, least=2) if joining is None else joining)
        catalog.products_of(world, span, size(1) if span.live else 0)
        orders.orders_of(world, span, max(6, size(DAY_ORDERS) if new_orders is None else new_orders), known)
        crm.crm_of(world, span)
        rates.rates_of(world, span)
        events.events_of(world, span, max(20, size(DAY_EVENTS) if new_events is None else new_events), known)
        return span


def _share(total: int, i: int, parts: int) -> int:
    """The i-th of `parts` nearly equal whole shares of `total`."""
    return total * (i + 1) // parts - total * i // parts


def _observed(n: int, high: datetime, changes: Mapping[str, Change]) -> list[Planted]:
    """Life that is read off the finished rows: midnight cursors, the largest tie, soft deletes, awkward names."""
    found: list[Planted] = []
    for change in changes.values():
        spec, rows = change.table, change.rows()
        seen: list[tuple[str, Row, str | None]] = []
        for row in rows:
            if row[spec.cursor] == high:
                seen.append(("midnight", row, None))
            if row.get("is_deleted"):
                seen.append(("soft_delete", row, None))
            if row.get("full_name") in AWKWARD:
                seen.append(("awkward_text", row, None))
        if rows:
            cursor, count = Counter(change.data[spec.cursor]).most_common(1)[0]
            first = next(row for row in rows if row[spec.cursor] == cursor)
            seen.append(("equal_cursors", first, f"{count} rows of {spec.name} share this cursor"))
        for kind, row, detail in seen:
            key = {name: row[name] for name in spec.key}
            found.append(Planted(n, spec.source, spec.name, kind, None, key, row[spec.cursor], detail))
    return found
