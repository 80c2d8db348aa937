"""customProperties: what ODCS has no word for, read by name and checked against the known names.

Durations are ISO 8601 (PT6H, P1D); moments are ISO 8601 in UTC.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.standard import Problem

#: Every table-level custom property there is.
TABLE = {
    "source",
    "strategy",
    "publishGroup",
    "scd2",
    "quarantineThreshold",
    "affectedKeys",
    "layout",
    "landingRetention",
    "warehouse",
}
#: Every column-level one.
COLUMN = {"protect", "precedence"}
#: Every one of a quality rule.
QUALITY = {"disposition", "tolerance", "comparedWithRuns"}
#: Every one of a relationship.
RELATIONSHIP = {"severity", "tolerance"}

_DURATION = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")


def duration(text: object) -> timedelta:
    """PT6H -> 6 hours. Raises ValueError for anything else than days, hours, minutes, seconds."""
    match = _DURATION.match(str(text))
    if not match or not any(match.groups()):
        raise ValueError(f"'{text}' is no ISO 8601 duration such as PT6H or P1D")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def read(document: Document, at: Where, known: set[str], problems: list[Problem]) -> dict[str, Any]:
    """{property: value} of the customProperties under `at`; unknown and repeated names become problems."""
    node: Any = document.data
    for step in at:
        node = node[step]
    values: dict[str, Any] = {}
    for index, entry in enumerate(node.get("customProperties") or []):
        line = document.line((*at, "customProperties", index))
        name = entry.get("property")
        if name not in known:
            allowed = ", ".join(sorted(known))
            problems.append((line, f"unknown custom property '{name}'", f"Use one of: {allowed}."))
        elif name in values:
            problems.append((line, f"custom property '{name}' is written twice", "Keep one."))
        values[str(name)] = entry.get("value")
    return values
