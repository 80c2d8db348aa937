"""How old a table's newest row is, against the freshness its contract promises. From the Delta log alone.

fresh: within the promise. stale: beyond it. recovered: fresh again, and it was stale when the latest version with data
came. unknown: no promise, no table, or nothing that tells (a column without statistics, or NULL in every row).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NamedTuple

from lakehouse import paths
from lakehouse.contracts.model import Contract
from lakehouse.contracts.sla import read_freshness

State = Literal["fresh", "stale", "recovered", "unknown"]


class Freshness(NamedTuple):
    """`newest` is the largest value of the promised column; `age` how long before `now` that was."""

    state: State
    newest: datetime | None
    age: timedelta | None
    promised: timedelta | None


def promise(contract: Contract) -> tuple[str, timedelta] | None:
    """(column, age) of the contract's SLA freshness, None where there is none that names a column of the table."""
    return read_freshness(contract.sla, {column.name for column in contract.columns})


def freshness(contract: Contract, now: datetime) -> Freshness:
    """The state at `now` (aware)."""
    from lakehouse.delta import latest_version, newest

    promised = promise(contract)
    path = paths.table(contract.name)
    version = latest_version(path)
    if promised is None or version < 0:
        return Freshness("unknown", None, None, promised and promised[1])
    column, within = promised
    latest = newest(path, column, version)
    moment = _moment(latest.value) if latest else None
    if latest is None or moment is None:
        return Freshness("unknown", None, None, within)
    age = now - moment
    if age > within:
        return Freshness("stale", moment, age, within)
    before = newest(path, column, latest.version - 1) if latest.version else None
    was = _moment(before.value) if before else None
    late = was is not None and latest.committed - was > within
    return Freshness("recovered" if late else "fresh", moment, age, within)


def _moment(value: Any) -> datetime | None:
    """A date is as old as its end: until then the day's rows may come."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC) + timedelta(days=1)
    return None
