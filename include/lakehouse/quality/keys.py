"""Which keys of a candidate are unique, told by its files without Spark: one column, and a byte for each number.

To ask Spark is to plan the table a second time, and to shuffle bits of every key.
"""

from __future__ import annotations

from dataclasses import replace

from lakehouse.contracts.model import Contract, Rule
from lakehouse.delta import Statistics, numbers, statistics
from lakehouse.quality.known import Known, Part
from lakehouse.repeats import SPAN, each_once


def with_keys(known: Known, contract: Contract, path: str, told: Statistics | None) -> Known:
    """`known`, and which of its dense keys are unique in the candidate at `path`, whose files `told`.

    Of those that are not, or lie too far apart (see `repeats.SPAN`), it says nothing.
    """
    rules = [rule for rule in contract.rules if told and rule.name in known.dense]
    unique = [rule.name for rule in rules if told and _unique(rule, path, told, known.part)]
    return replace(known, counted={**known.counted, **dict.fromkeys(unique, 0)})


def _unique(rule: Rule, path: str, told: Statistics, part: Part | None) -> bool:
    column, span = rule.columns[0], told.span(rule.columns[0])
    if part and rule.name in part.rules:
        added = statistics(part.path)
        if added is not None and added.rows == 0:
            return True
        span = (added.span(column) if added is not None else None) or span
    if span is None or span[1] - span[0] >= SPAN:
        return False
    return each_once(numbers(path, column, *span), *span)
