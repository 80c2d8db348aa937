"""slaProperties that somebody waits on: durations, read strictly. The others are kept as they are written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

#: The gate of the table is through this long after the run's start (OPS-1).
GATE_DEADLINE = "dqGateDeadline"
#: A load is published this long after its first attempt began.
LATENCY = "latency"

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}

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
        complain(f"{name} '{value} {unit}'", f"Give a positive value and a unit of {', '.join(_UNITS)}.")
        return None
    return timedelta(seconds=value * _UNITS[unit])
