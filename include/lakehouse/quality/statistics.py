"""What the statistics of a candidate's files tell its gate: numbers of rules, and which keys lie close together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lakehouse.contracts.model import Contract, Rule
from lakehouse.contracts.rules import BOUNDS, value_of
from lakehouse.quality.known import Known
from lakehouse.repeats import APART, WHOLE

if TYPE_CHECKING:
    from lakehouse.delta import Statistics

#: Types whose statistics, read as what they are, do not compare with a bound as Spark would.
_INEXACT = ("FLOAT", "DOUBLE", "TIMESTAMP")
#: How far apart the ends of keys may lie at any rate, however few there are: to look at a place for each is nothing.
NEAR = 1 << 20


def with_statistics(known: Known, contract: Contract, told: Statistics | None) -> Known:
    """`known`, and what the candidate's files tell of the rules without reading a row."""
    if told is None:
        return known
    found = {rule.name: number for rule in contract.rules if (number := _bad_rows(rule, contract, told)) is not None}
    close = {rule.name for rule in contract.rules if rule.kind == "unique" and _close(rule, contract, told)}
    return replace(known, counted=found, dense=frozenset(close))


def _bad_rows(rule: Rule, contract: Contract, told: Statistics) -> int | None:
    """How many rows break `rule`, where no row need be read for that."""
    if rule.kind == "not_null":
        return told.nulls(rule.columns[0])
    span = told.span(rule.columns[0]) if rule.kind == "range" else None
    if span is None:
        return None
    # Outside of its bounds lie some rows; how many, only they tell.
    kind = contract.column(rule.columns[0]).type
    return 0 if all(_within(span, name, bound, kind) for name, bound in rule.params.items()) else None


def _within(span: tuple[Any, Any], name: str, said: Any, kind: str) -> bool:
    """Whether all of `span` keeps to one option of the schema. False where that is not certain."""
    if name not in BOUNDS:
        return name.startswith("must") or name == "unit"
    bound = value_of(said, kind)
    if bound is None or kind in _INEXACT:
        return False
    low, high = span
    if name in ("minimum", "exclusiveMinimum"):
        return bool(low > bound or (name == "minimum" and low == bound))
    return bool(high < bound or (name == "maximum" and high == bound))


def _close(rule: Rule, contract: Contract, told: Statistics) -> bool:
    """Whether a repeated key of `rule` is found by a place for each number that there may be (see `repeats`)."""
    # A rule that bears some repeats needs their number.
    if len(rule.columns) > 1 or "unit" in rule.params or contract.column(rule.columns[0]).type not in WHOLE:
        return False
    span, rows = told.span(rule.columns[0]), told.rows
    return bool(span and rows and span[1] - span[0] < max(APART * rows, NEAR))
