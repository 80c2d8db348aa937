"""How much a rule bears: the operators that judge its number, the number's unit, and what it is compared with.

The Open Data Contract Standard has words for it on its metrics and queries (mustBe..., unit: rows or percent). Custom
rules and relationships have none there; theirs is the custom property tolerance, {percent: 0.5} or {rows: 10}.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: A rule that nothing else is said of bears no bad row.
NONE = {"mustBe": 0}

Complain = Callable[[str, str], None]


def stated(entry: dict[str, Any], complain: Complain) -> dict[str, Any] | None:
    """Operators and unit of a metric that counts bad rows; {} where it bears none. None after a complaint."""
    operators = {name: bound for name, bound in entry.items() if name.startswith("must")}
    unit = entry.get("unit", "rows")
    if unit not in ("rows", "percent"):
        complain(f"unit '{unit}'", "Use rows (the default) or percent of the table's rows.")
        return None
    return {} if operators == NONE else {**operators, "unit": unit}


def custom(value: Any, complain: Complain) -> dict[str, Any] | None:
    """The custom property tolerance as operators and unit; {} where there is none. None after a complaint."""
    if value is None:
        return {}
    if isinstance(value, dict) and len(value) == 1:
        unit, bound = next(iter(value.items()))
        number = isinstance(bound, int | float) and not isinstance(bound, bool) and bound > 0
        if number and (unit == "rows" or (unit == "percent" and bound < 100)):
            return {"mustBeLessOrEqualTo": bound, "unit": unit}
    complain(f"tolerance {value!r}", "Write {rows: 10}, or {percent: 0.5} for half a percent of the table's rows.")
    return None


def compared(kind: str, value: Any, complain: Complain) -> dict[str, Any] | None:
    """The custom property comparedWithRuns: the number is taken in percent of its median over so many earlier runs."""
    if value is None:
        return {}
    if kind not in ("row_count", "sql"):
        complain("comparedWithRuns on bad rows", "Compare a rowCount or a query of type sql.")
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        complain(f"comparedWithRuns {value!r}", "Give a number of earlier runs from 1 to 100, e.g. 7.")
        return None
    return {"compared_with_runs": value}
