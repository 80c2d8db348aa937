"""What is usual for a rule: its numbers in earlier runs that were published, from ops.quality and the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from statistics import median
from typing import Any

from lakehouse import paths
from lakehouse.contracts.model import Rule
from lakehouse.ledger.events import Event
from lakehouse.ledger.windows import Window, merge

#: Runs whose numbers say something of the next run's: a backfill or a replay is as large as somebody made it.
KINDS = ("scheduled", "manual")

#: Fewer earlier runs than this say nothing, unless the rule asks for fewer.
ENOUGH = 3


def usual(
    table: str, rules: Sequence[Rule], windows: Sequence[Window], kind: str, events: Sequence[Event]
) -> tuple[dict[str, float], dict[str, str]]:
    """Of `rules` that are compared: {rule: its usual number}, and {rule: why there is none}.

    `events` are the table's. Rows of a table that loads windows are taken per time covered, so that three days at once
    are no flood; the usual number is what `windows` of such a load would have.
    """
    compared = [rule for rule in rules if "compared_with_runs" in rule.params]
    if not compared:
        return {}, {}
    if kind not in KINDS:
        return {}, {rule.name: f"a {kind} is as large as it was made" for rule in compared}
    past = _values(table, events)
    found, silent = {}, {}
    for rule in compared:
        runs = int(rule.params["compared_with_runs"])
        rates = rule.kind == "row_count" and bool(windows)
        numbers = [
            value / (_days(event.windows) if rates else 1.0)
            for event, values in past
            if (value := values.get(rule.name)) is not None and not (rates and not event.windows)
        ][-runs:]
        needed = min(runs, ENOUGH)
        middle = median(numbers) * (_days(windows) if rates else 1.0) if numbers else 0.0
        if len(numbers) < needed:
            silent[rule.name] = f"{len(numbers)} of {needed} earlier runs to compare with"
        elif middle == 0:
            silent[rule.name] = "nothing is usual"
        else:
            found[rule.name] = middle
    return found, silent


def _values(table: str, events: Sequence[Event]) -> list[tuple[Event, dict[str, float | None]]]:
    """Published loads, oldest first, with {rule: number} of the gate that let each through: its last one."""
    from lakehouse.delta import read_rows

    gates: dict[str, dict[str, tuple[Any, float | None]]] = {}
    for row in read_rows(paths.ops("quality"), {"table": table}):
        rules = gates.setdefault(row["batch_id"], {})
        before = rules.get(row["rule"])
        if before is None or before[0] <= row["checked_ts"]:
            rules[row["rule"]] = (row["checked_ts"], row.get("value"))
    told: Mapping[str, dict[str, float | None]] = {
        batch: {rule: value for rule, (_, value) in rules.items()} for batch, rules in gates.items()
    }
    published = [e for e in events if e.event == "published" and e.kind in KINDS and e.batch_id in told]
    return [(event, told[event.batch_id]) for event in published]


def _days(windows: Sequence[Window]) -> float:
    length = sum((w.high - w.low for w in merge(windows)), timedelta())
    return length / timedelta(days=1)
