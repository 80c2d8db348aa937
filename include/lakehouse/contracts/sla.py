"""slaProperties that somebody waits on: durations, read strictly. The others are kept as they are written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

#: The gate of the table is through this long after the run's start (OPS-1).
GATE_DEADLINE = "dqGateDeadline"

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400}

Complain = Callable[[str, str], None]


def gate_deadline(sla: dict[str, Any], complain: Complain) -> timedelta | None:
    """The deadline of the table's gate, from the run's start; None where the contract declares none.

    `sla` is {property: {"value", "unit"}}. `complain(what, remedy)` is called for a value that is no duration.
    """
    told = sla.get(GATE_DEADLINE)
    if told is None:
        return None
    value, unit = told.get("value"), told.get("unit")
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0 or unit not in _UNITS:
        complain(f"{GATE_DEADLINE} '{value} {unit}'", f"Give a positive value and a unit of {', '.join(_UNITS)}.")
        return None
    return timedelta(seconds=value * _UNITS[unit])
