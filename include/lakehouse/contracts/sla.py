"""slaProperties that somebody waits on: durations, read strictly. The others are kept as they are written."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any

#: The gate of the table is through this long after the run's start (OPS-1).
GATE_DEADLINE = "dqGateDeadline"
#: A load is published this long after its first attempt began.
LATENCY = "latency"

#: How old the newest row of a column may be.
FRESHNESS = "freshness"

#: Seconds of each unit, as the standard spells them.
_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1),
    **dict.fromkeys(("min", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
}

Complain = Callable[[str, str], None]


def read_duration(name: str, sla: dict[str, Any], complain: Complain) -> timedelta | None:
    """What the contract declares as `name` (GATE_DEADLINE, LATENCY); None where it declares none.

    `sla` is {property: {"value", "unit"}}. `complain(what, remedy)` is called for a value that is no duration.
    """
    told = sla.get(name)
    if told is None:
        return None
    value, unit = told.get("value"), told.get("unit")
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0 or unit not in _UNITS:
        complain(f"{name} '{value} {unit}'", "Give a positive value and a unit of s, min, h, d.")
        return None
    return timedelta(seconds=value * _UNITS[unit])


def read_freshness(
    sla: dict[str, Any], columns: Collection[str], complain: Complain = lambda what, remedy: None
) -> tuple[str, timedelta] | None:
    """(column, how old its newest value may be); None where the contract declares none, or after a complaint."""
    within = read_duration(FRESHNESS, sla, complain)
    if within is None:
        return None
    element = str(sla[FRESHNESS].get("element") or "")
    column = element.rpartition(".")[2]
    if column not in columns:
        complain(f"{FRESHNESS} of '{element}'", "Name the column as element: table.column.")
        return None
    return column, within
