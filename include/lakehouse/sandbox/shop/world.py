"""The state of the shop while it is simulated: current rows, what changed since the last cut, what was planted.

Holds state and draws random numbers by name; it decides nothing (see `catalog`, `orders`, `events`, `faults`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, TypeVar

from lakehouse.sandbox.shop.model import TABLES, Change, Planted, Row, ShopConfig

T = TypeVar("T")
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """One simulated calendar day: commits in (low, high]. `n` is 0 in history."""

    seed: int
    n: int
    low: datetime
    first: bool = False

    @property
    def high(self) -> datetime:
        """The midnight that ends the day and belongs to it."""
        return self.low + DAY

    @property
    def live(self) -> bool:
        """Whether this day is delivered on its own rather than inside the history."""
        return self.n > 0

    def rng(self, stream: str) -> Random:
        """Random numbers that depend on seed, day and `stream` alone: a string seed does not use hash()."""
        return Random(f"{self.seed}|{self.low.date()}|{stream}")  # noqa: S311  (a simulation, no secret)

    def moment(self, rng: Random, after_hours: int = 0) -> datetime:
        """A commit time inside the day, in whole seconds, away from both midnights."""
        return self.low + timedelta(seconds=rng.randrange(after_hours * 3600 + 1, 86_400))

    def late(self, rng: Random) -> datetime:
        """A cursor of the day before, 11 to 199 minutes below its midnight: already passed, yet within a lookback."""
        return self.low - timedelta(seconds=rng.randrange(11 * 60, 199 * 60))

    @property
    def settled(self) -> datetime:
        """Rows older than this lie below every late cursor, so a late change still is their newest."""
        return self.low - timedelta(minutes=200)


def some(rng: Random, among: Sequence[T], count: int) -> list[T]:
    """Up to `count` different members."""
    return rng.sample(among, min(count, len(among)))


@dataclass
class World:
    """Current rows by key, and the ledger of the day being made."""

    config: ShopConfig
    current: dict[str, dict[Any, Row]] = field(default_factory=lambda: defaultdict(dict))
    #: Keys changed since the last cut (a whole history for day 0).
    changed: dict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))
    #: Keys changed in the calendar day being simulated.
    touched: dict[str, set[Any]] = field(default_factory=lambda: defaultdict(set))
    #: Rows delivered beside the current ones: events, duplicates, rows that break rules.
    extra: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    planted: list[Planted] = field(default_factory=list)
    #: Status moves to come, by the calendar day that commits them.
    moves: dict[date, list[tuple[datetime, int, str]]] = field(default_factory=lambda: defaultdict(list))
    deleted_customers: list[int] = field(default_factory=list)
    #: Members that orders name already and that arrive the next day, with the time they were made.
    promised: dict[str, list[tuple[int, datetime]]] = field(default_factory=lambda: defaultdict(list))
    #: Yesterday's broken rows that somebody repairs today: (table, repaired row without its cursor).
    repairs: list[tuple[str, Row]] = field(default_factory=list)
    last_events: list[Row] = field(default_factory=list)
    #: Rates of the last hour by currency, and rows of the day that the source publishes only later.
    rates: dict[str, Decimal] = field(default_factory=dict)
    unpublished: list[Row] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=lambda: {"customers": 1000, "products": 100, "orders": 10_000})

    def new_id(self, table: str) -> int:
        """The next number of a table."""
        self.counters[table] += 1
        return self.counters[table]

    def put(self, table: str, row: Row) -> None:
        """Commit a row: the last state of its key stays."""
        names = TABLES[table].key
        key = row[names[0]] if len(names) == 1 else tuple(row[name] for name in names)
        self.current[table][key] = row
        self.changed[table].add(key)
        self.touched[table].add(key)

    def plant(
        self, n: int, table: str, kind: str, row: Row, rule: str | None = None, detail: str | None = None
    ) -> None:
        """Write into the manifest that `row` was made on purpose."""
        spec = TABLES[table]
        key = {name: row[name] for name in spec.key}
        self.planted.append(Planted(n, spec.source, table, kind, rule, key, row[spec.cursor], detail))

    def calm(self, table: str, settled_before: datetime | None = None) -> list[Any]:
        """Keys not deleted and not changed today (and, if asked, unchanged since), in order."""
        return [
            key
            for key, row in self.current[table].items()
            if not row["is_deleted"]
            and key not in self.touched[table]
            and (settled_before is None or row["updated_at"] < settled_before)
        ]

    def cut(self) -> dict[str, Change]:
        """Everything changed since the last cut, ordered by key, and a clean ledger."""
        changes: dict[str, Change] = {}
        for name, spec in TABLES.items():
            rows = [self.current[name][key] for key in sorted(self.changed[name])]
            changes[name] = Change.of(spec, rows + self.extra[name])
        self.changed.clear()
        self.extra.clear()
        self.planted = []
        return changes
