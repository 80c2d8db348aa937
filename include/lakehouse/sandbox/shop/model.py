"""What the shop is made of: its configuration, the source tables, a day's changes and what was planted in them.

Not the life itself (see `simulation`) and no SQL (see `ddl`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from lakehouse.errors import LakehouseError

#: One row of a source table by column name.
Row = dict[str, Any]


class ShopError(LakehouseError):
    """The sandbox shop was asked for something it cannot give."""


def money(cents: int) -> Decimal:
    """An amount with exactly two digits."""
    return Decimal(cents).scaleb(-2)


@dataclass(frozen=True)
class ShopConfig:
    """Everything the shop's content depends on."""

    #: Same seed, same rows.
    seed: int = 7
    #: Multiplies customers, products, orders and events.
    scale: float = 1.0
    #: First day of history (UTC).
    opening: date = date(2025, 9, 1)
    #: Day 1; everything committed up to its midnight is day 0.
    first_day: date = date(2025, 10, 1)
    #: Plant rows that break contract rules. Life (late rows, duplicates, deletes) is there either way.
    faults: bool = True

    def __post_init__(self) -> None:
        """Refuse a shop that has no history or no size."""
        if self.opening >= self.first_day:
            raise ShopError(
                f"The shop opens on {self.opening}, not before its first day {self.first_day}.", "Open it earlier."
            )
        if self.scale <= 0:
            raise ShopError(f"A shop of scale {self.scale} has no rows.", "Choose a scale above 0; 1.0 is the default.")

    def window(self, n: int) -> tuple[datetime, datetime]:
        """Commit times of day `n` as (low, high], naive UTC. Day 0 is the history."""
        if n < 0:
            raise ShopError(f"The shop has no day {n}.", "Days count from 0, the history.")
        first = datetime.combine(self.first_day, time())
        if n == 0:
            return datetime.combine(self.opening, time()), first
        return first + timedelta(days=n - 1), first + timedelta(days=n)

    def size(self, base: float, least: int = 1) -> int:
        """`base` at this scale, never below `least`."""
        return max(least, round(base * self.scale))

    def fingerprint(self) -> str:
        """A readable text that differs when the content would."""
        return " ".join(f"{name}={value}" for name, value in asdict(self).items())


@dataclass(frozen=True)
class Column:
    """A column and its kind: id, count, money, rate, text, code, flag or time."""

    name: str
    kind: str


@dataclass(frozen=True)
class SourceTable:
    """A table in a source system. `append` tables get new rows only; in the others a key's last state stays."""

    source: str
    name: str
    key: tuple[str, ...]
    cursor: str
    columns: tuple[Column, ...]
    append: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)


def _table(source: str, name: str, key: str, cursor: str, columns: str, append: bool = False) -> SourceTable:
    parts = (pair.split(":") for pair in columns.split())
    return SourceTable(source, name, tuple(key.split()), cursor, tuple(Column(n, k) for n, k in parts), append)


ORDERS = _table(
    "snowflake", "orders", "order_id", "updated_at",
    "order_id:id customer_id:id order_ts:time status:text currency:text country:text is_deleted:flag updated_at:time",
)  # fmt: skip
ORDER_ITEMS = _table(
    "snowflake", "order_items", "order_id line_number", "updated_at",
    "order_id:id line_number:count product_id:id quantity:count unit_price:money discount:money is_deleted:flag "
    "updated_at:time",
)  # fmt: skip
CUSTOMERS = _table(
    "snowflake", "customers", "customer_id", "updated_at",
    "customer_id:id email:text full_name:text phone:text segment:text city:text country:text is_deleted:flag "
    "created_at:time updated_at:time",
)  # fmt: skip
PRODUCTS = _table(
    "snowflake", "products", "product_id", "updated_at",
    "product_id:id sku:text name:text category:text list_price:money currency:text is_deleted:flag updated_at:time",
)  # fmt: skip
EVENTS = _table(
    "redshift", "behavior_events", "event_id", "loaded_at",
    "event_id:text event_ts:time event_type:text session_id:text customer_id:id product_id:id country:code "
    "page_url:text loaded_at:time",
    append=True,
)  # fmt: skip

ACCOUNTS = _table(
    "salesforce", "salesforce_accounts", "Id", "SystemModstamp",
    "Id:text Name:text Industry:text BillingCountry:code Rating:text IsDeleted:flag SystemModstamp:time",
)  # fmt: skip
CONTACTS = _table(
    "salesforce", "salesforce_contacts", "Id", "SystemModstamp",
    "Id:text AccountId:text ShopCustomerId__c:id Email:text Name:text Phone:text MailingCity:text IsDeleted:flag "
    "SystemModstamp:time",
)  # fmt: skip
OPPORTUNITIES = _table(
    "salesforce", "salesforce_opportunities", "Id", "SystemModstamp",
    "Id:text AccountId:text StageName:text Amount:money CurrencyIsoCode:text IsDeleted:flag SystemModstamp:time",
)  # fmt: skip
RATES = _table(
    "http", "fx_rates", "base currency rate_ts", "rate_ts",
    "base:text currency:text rate_ts:time rate:rate published_at:time",
)  # fmt: skip

#: Every source table by name, in the order they are applied.
TABLES: dict[str, SourceTable] = {
    t.name: t for t in (CUSTOMERS, PRODUCTS, ORDERS, ORDER_ITEMS, EVENTS, ACCOUNTS, CONTACTS, OPPORTUNITIES, RATES)
}
#: Sources that SQL reaches.
WAREHOUSES = ("snowflake", "redshift")


@dataclass(frozen=True)
class Change:
    """What one day commits to one table, by column: `data[column][i]` belongs to row i."""

    table: SourceTable
    data: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(cls, table: SourceTable, rows: list[Row]) -> Change:
        """Turn rows into columns."""
        return cls(table, {name: tuple(row[name] for row in rows) for name in table.names})

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.data[self.table.cursor])

    def tuples(self) -> Iterator[tuple[Any, ...]]:
        """The rows in the table's column order."""
        return zip(*(self.data[name] for name in self.table.names), strict=True)

    def rows(self) -> list[Row]:
        """The rows by column name."""
        return [dict(zip(self.table.names, values, strict=True)) for values in self.tuples()]


@dataclass(frozen=True)
class Planted:
    """One thing the generator did on purpose, findable by table, key and cursor."""

    day: int
    source: str
    table: str
    #: What was planted: null_key, negative_quantity, late, duplicate, resent...
    kind: str
    #: The row-level contract rule the row breaks; None where it is life and no fault.
    rule: str | None
    #: The business key of the row, columns by name.
    key: Mapping[str, Any]
    #: The row's cursor (updated_at or loaded_at).
    cursor: datetime
    detail: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The entry as JSON can hold it: times in ISO format."""
        key = {name: v.isoformat() if isinstance(v, datetime) else v for name, v in self.key.items()}
        return {**asdict(self), "key": key, "cursor": self.cursor.isoformat()}


@dataclass(frozen=True)
class DayChanges:
    """All changes whose visibility begins on day `n`; cursors lie in (low, high] except the late ones."""

    n: int
    low: datetime
    high: datetime
    changes: Mapping[str, Change]
    planted: tuple[Planted, ...]
