"""Which keys of a candidate are unique, told by its files without Spark: one column, and a byte for each number.

To ask Spark is to plan the table a second time, and to shuffle bits of every key.
"""

from __future__ import annotations

from dataclasses import replace

from lakehouse.contracts.model import Contract, Rule
from lakehouse.delta import Statistics, numbers, statistics
from lakehouse.quality.known import Known, Part
from lakehouse.repeats import SPAN, each_once

#: Files of a candidate up to which one process reads them all; Spark's tasks share more.
FILES = 500


def with_keys(known: Known, contract: Contract, path: str, told: Statistics | None) -> Known:
    """`known`, and which of its dense keys are unique in the candidate at `path`, of whose files `told` is known.

    Those that are not are to be counted. Of those that lie too far apart (see `repeats.SPAN`), or in too many files,
    nothing is said.
    """
    rules = [rule for rule in contract.rules if rule.name in known.dense]
    found = {rule.name: _unique(rule, path, told, known.part) for rule in rules if told}
    clean = [name for name, unique in found.items() if unique]
    looked_at = {name for name, unique in found.items() if unique is not None}
    return replace(known, counted={**known.counted, **dict.fromkeys(clean, 0)}, dense=known.dense - looked_at)


def _unique(rule: Rule, path: str, told: Statistics, part: Part | None) -> bool | None:
    """Whether the key of `rule` is unique; None where that is not to be told here."""
    column, span, within = rule.columns[0], told.span(rule.columns[0]), None
    if part and rule.name in part.rules:
        added = statistics(part.path)
        if added is not None and added.rows == 0:
            return True
        within = added.span(column) if added is not None else None
        span = within or span
    if span is None or span[1] - span[0] >= SPAN or (not within and told.files.num_rows > FILES):
        return None
    held = each_once(numbers(path, column, within), *span)
    if held is None or within:
        return held is not None
    # Where there are not as many as the log says, somebody else writes to the candidate.
    nulls, rows = told.nulls(column), told.rows
    return True if nulls is not None and rows is not None and held == rows - nulls else None
