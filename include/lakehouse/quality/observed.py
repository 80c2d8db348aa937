"""What was measured for one rule, in a number for machines and in words for people."""

from __future__ import annotations

from typing import Any

from lakehouse.contracts.model import Rule
from lakehouse.quality.known import Known
from lakehouse.quality.measure import COUNTS_ROWS, judged
from lakehouse.quality.result import RuleResult


def result_of(rule: Rule, success: bool, value: Any, known: Known, sample: tuple[str, ...]) -> RuleResult:
    """`value` is the rule's number, or [bad rows, all rows], or None where nobody counted (the rule holds)."""
    counted = rule.kind in COUNTS_ROWS
    number = value[0] if isinstance(value, list | tuple) else value
    failed_rows = int(number) if counted and number is not None and (number or not success) else None
    words = _bad_rows(failed_rows, value) if counted else _number(rule, value, known)
    if rule.name in known.unjudged:
        words = f"{words} (not judged: {known.unjudged[rule.name]})"
    return RuleResult(
        rule.name,
        rule.kind,
        rule.severity,
        success,
        failed_rows,
        words,
        rule.description,
        None if number is None else float(number),
        sample,
    )


def _bad_rows(rows: int | None, value: Any) -> str:
    if rows is None:
        return ""
    words = f"{rows} failing row{'' if rows == 1 else 's'}"
    return f"{words}, {judged(value):.3g}% of {int(value[1])}" if isinstance(value, list | tuple) else words


def _number(rule: Rule, value: Any, known: Known) -> str:
    if rule.kind == "source" and rule.name in known.figures:
        landed, source = known.figures[rule.name]
        return f"{landed:.15g} landed, {source:.15g} at the source"
    if value is None:
        return "no number (NULL)"
    words = f"{value:.15g}" + (" rows" if rule.kind == "row_count" else "")
    usual = known.usual.get(rule.name)
    return words if usual is None else f"{words}, {judged(value, usual):.3g}% of the usual {usual:.6g}"
