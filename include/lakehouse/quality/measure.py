"""Each rule as one aggregate expression of Spark SQL over the candidate, and the numbers that are good.

One expression a rule lets the engine compute all of them in one query. Not for running anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakehouse.contracts.model import Contract, Rule
from lakehouse.contracts.sql import TABLE_PLACEHOLDER
from lakehouse.errors import LakehouseError
from lakehouse.sqltext import quote
from lakehouse.transform.sql import SqlError, parse_query

#: The candidate's name where views are asked for. No layer is called so.
CANDIDATE = "candidate.candidate"

#: Kinds whose number counts bad rows; none is the only good answer.
COUNTS_ROWS = frozenset({"not_null", "one_of", "pattern", "range", "length", "row", "unique", "reference"})

#: The operators of the Open Data Contract Standard.
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "mustBe": lambda value, bound: value == bound,
    "mustNotBe": lambda value, bound: value != bound,
    "mustBeGreaterThan": lambda value, bound: value > bound,
    "mustBeGreaterOrEqualTo": lambda value, bound: value >= bound,
    "mustBeLessThan": lambda value, bound: value < bound,
    "mustBeLessOrEqualTo": lambda value, bound: value <= bound,
    "mustBeBetween": lambda value, bound: bound[0] <= value <= bound[1],
    "mustNotBeBetween": lambda value, bound: not bound[0] <= value <= bound[1],
}


class RuleError(LakehouseError):
    """A rule could not be evaluated. That is neither a pass nor a failure of the data."""

    def __init__(self, contract: Contract, rule: Rule, reason: str) -> None:
        """`reason` must quote no value of a row."""
        super().__init__(
            f"{contract.name}: rule {rule.name} could not be checked: {reason} ({contract.path}:{rule.line}).",
            "Mend the rule there and run `lakehouse contracts check`, then run the gate again.",
        )
        self.rule = rule


def measure(contract: Contract, rule: Rule, view: Callable[[str], str]) -> str:
    """The aggregate expression of `rule`; `view` gives the temporary view of CANDIDATE or of a layer.table.

    It yields one number: bad rows, or for row_count and sql the number that the operators judge. Nulls do not break
    a unique or a reference rule. A predicate that yields NULL does not hold. Raises RuleError.
    """
    if rule.predicate:
        # The line break ends a comment that the predicate may end with.
        return f"count_if(NOT coalesce(({rule.predicate}\n), false))"
    if rule.kind == "row_count":
        return "count(1)"
    if rule.kind == "unique":
        keys = ", ".join(map(quote, rule.columns))
        known = " AND ".join(f"{quote(column)} IS NOT NULL" for column in rule.columns)
        return (
            "(SELECT coalesce(sum(held), 0) FROM "
            f"(SELECT count(1) AS held FROM {view(CANDIDATE)} WHERE {known} GROUP BY {keys} HAVING count(1) > 1))"
        )
    if rule.kind == "reference":
        column, key, target = quote(rule.columns[0]), quote(rule.params["column"]), rule.params["table"]
        # A table that refers to itself is judged as it would be.
        other = view(CANDIDATE if target == contract.name else target)
        return (
            f"(SELECT count(1) FROM {view(CANDIDATE)} AS this LEFT ANTI JOIN {other} AS other "
            f"ON this.{column} = other.{key} WHERE this.{column} IS NOT NULL)"
        )
    if rule.kind == "sql":
        return f"CAST(({_over_views(contract, rule, view)}) AS DOUBLE)"
    raise RuleError(contract, rule, f"kind '{rule.kind}' is not known")


def operators(contract: Contract, rule: Rule) -> dict[str, Any]:
    """The operators that judge the number of `rule`. Raises RuleError where there is none: it would always pass."""
    if rule.kind in COUNTS_ROWS:
        return {"mustBe": 0}
    found = {name: bound for name, bound in rule.params.items() if name.startswith("must")}
    if not found or found.keys() - _OPERATORS.keys():
        raise RuleError(contract, rule, f"it needs operators out of {', '.join(_OPERATORS)}")
    return found


def holds(value: Any, bounds: Mapping[str, Any]) -> bool:
    """Whether the number satisfies every operator. No number (NULL) satisfies none."""
    return value is not None and all(_OPERATORS[name](value, bound) for name, bound in bounds.items())


def _over_views(contract: Contract, rule: Rule, view: Callable[[str], str]) -> str:
    """The rule's query with every table replaced by its view."""
    try:
        query = parse_query(str(rule.params["query"]).replace(TABLE_PLACEHOLDER, CANDIDATE))
    except SqlError as error:
        raise RuleError(contract, rule, error.what) from error
    return query.over({table: view(table) for table in query.reads})
