"""Each rule as one aggregate expression of Spark SQL over the candidate, and the numbers that are good.

One expression a rule lets the engine compute all of them in one query. Not for running anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakehouse.contracts.model import Contract, Rule
from lakehouse.contracts.sql import RUN_END_PLACEHOLDER, filled
from lakehouse.contracts.tolerance import NONE
from lakehouse.errors import LakehouseError
from lakehouse.quality.known import Known, Part
from lakehouse.repeats import surplus
from lakehouse.sqltext import quote, timestamp
from lakehouse.transform.sql import SqlError, parse_query

View = Callable[[str], str]

#: The candidate's name where views are asked for, and that of its part. No layer is called so.
CANDIDATE, PART = "candidate.candidate", "candidate.part"

#: Kinds whose number counts bad rows.
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
            "Mend the rule there and run `lakehouse contracts lint`, then run the gate again.",
        )
        self.rule = rule


def measure(contract: Contract, rule: Rule, view: View, known: Known) -> str:
    """The aggregate expression of `rule`; `view` gives the temporary view of CANDIDATE, PART or of a layer.table.

    It is one over the candidate, or over its part where `known` has one, and speaks of the candidate either way.
    It yields one number: bad rows, or for row_count and sql the number that the operators judge. Where bad rows are
    borne by their share it yields an array of two, bad rows and all rows. Nulls do not break a unique or a reference
    rule. A predicate that yields NULL does not hold. Raises RuleError.
    """
    rows = str(known.part.rows) if known.part else "count(1)"
    if rule.kind == "row_count":
        return rows
    if rule.kind == "sql":
        return f"CAST(({_over_views(contract, rule, view, known)}) AS DOUBLE)"
    if rule.kind == "source":
        landed, source = known.figures.get(rule.name, (None, None))
        if landed is None or source is None:
            return "CAST(NULL AS DOUBLE)"
        return _told(rule, f"CAST({abs(landed - source)!r} AS DOUBLE)", f"{abs(source)!r}")
    if rule.name in known.counted:
        return _told(rule, str(known.counted[rule.name]), rows)
    if rule.name in known.dense:
        key = quote(rule.columns[0])
        return surplus(f"CAST({key} AS BIGINT)", f"{view(CANDIDATE)} WHERE {_keyed(rule, known.part)}")
    return _told(rule, bad_rows(contract, rule, view, known.part), rows)


def bad_rows(contract: Contract, rule: Rule, view: View, part: Part | None = None) -> str:
    """The aggregate expression that counts the bad rows of a rule whose kind is in COUNTS_ROWS."""
    if rule.predicate:
        # The line break ends a comment that the predicate may end with.
        count = f"count_if(NOT coalesce(({rule.predicate}\n), false))"
        return count if part is None or rule.name in part.rules else f"(SELECT {count} FROM {view(CANDIDATE)})"
    if rule.kind == "unique":
        return f"(SELECT coalesce(sum(held), 0) FROM ({repeated_keys(rule, view, part)}))"
    if rule.kind == "reference":
        return f"(SELECT count(1) FROM {unreferenced(contract, rule, view, part)})"
    raise RuleError(contract, rule, f"kind '{rule.kind}' is not known")


def repeated_keys(rule: Rule, view: View, part: Part | None = None) -> str:
    """SELECT of the keys that several rows have, and of `held`, how many."""
    keys = ", ".join(map(quote, rule.columns))
    rows = f"{view(CANDIDATE)} WHERE {_keyed(rule, part)}"
    return f"SELECT {keys}, count(1) AS held FROM {rows} GROUP BY {keys} HAVING count(1) > 1"


def unreferenced(contract: Contract, rule: Rule, view: View, part: Part | None = None) -> str:
    """FROM clause of the candidate's rows, as `this`, that refer to nothing."""
    column, key, target = quote(rule.columns[0]), quote(rule.params["column"]), rule.params["table"]
    # A table that refers to itself is judged as it would be.
    other = view(CANDIDATE if target == contract.name else target)
    if part and (within := part.rules.get(rule.name)):
        other = f"(SELECT {key} FROM {other} WHERE {within})"
    these = view(PART if part and rule.name in part.rules else CANDIDATE)
    return (
        f"{these} AS this LEFT ANTI JOIN {other} AS other "
        f"ON this.{column} = other.{key} WHERE this.{column} IS NOT NULL"
    )


def _keyed(rule: Rule, part: Part | None) -> str:
    """Condition of the rows among which a unique rule looks for repeated keys."""
    known = " AND ".join(f"{quote(column)} IS NOT NULL" for column in rule.columns)
    within = part.rules.get(rule.name) if part else ""
    return f"{known} AND {within}" if within else known


def operators(contract: Contract, rule: Rule) -> dict[str, Any]:
    """The operators that judge the number of `rule`. Raises RuleError where there is none: it would always pass."""
    found = {name: bound for name, bound in rule.params.items() if name.startswith("must")}
    if not found and (rule.kind in COUNTS_ROWS or rule.kind == "source"):
        return dict(NONE)
    if not found or found.keys() - _OPERATORS.keys():
        raise RuleError(contract, rule, f"it needs operators out of {', '.join(_OPERATORS)}")
    return found


def judged(value: Any, usual: float | None = None) -> Any:
    """The number that operators judge: of two numbers the share in percent, and a compared one in percent of usual."""
    if isinstance(value, list | tuple):
        # Of nothing, some is all there is: a source that says 0 is not right about a thousand rows.
        return 100.0 * value[0] / value[1] if value[1] else 100.0 * bool(value[0])
    if value is None or usual is None:
        return value
    return 100.0 * value / usual


def holds(value: Any, bounds: Mapping[str, Any]) -> bool:
    """Whether the number satisfies every operator. No number (NULL) satisfies none."""
    return value is not None and all(_OPERATORS[name](value, bound) for name, bound in bounds.items())


def _told(rule: Rule, bad: str, of: str) -> str:
    return f"array(CAST({bad} AS DOUBLE), CAST({of} AS DOUBLE))" if rule.params.get("unit") == "percent" else bad


def _over_views(contract: Contract, rule: Rule, view: View, known: Known) -> str:
    """The rule's query with every table replaced by its view."""
    text = str(rule.params["query"])
    if RUN_END_PLACEHOLDER in text and known.run_end is None:
        raise RuleError(contract, rule, f"there is no run whose end {RUN_END_PLACEHOLDER} could be")
    run_end = timestamp(known.run_end) if known.run_end else ""
    try:
        query = parse_query(filled(text, CANDIDATE, run_end))
    except SqlError as error:
        raise RuleError(contract, rule, error.what) from error
    return query.over({table: view(table) for table in query.reads})
