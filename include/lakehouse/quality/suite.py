"""A contract as a Great Expectations suite: the schema, then one expectation a rule (DQ-1).

Not for running it (see `gate`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lakehouse.contracts.model import Contract, Rule
from lakehouse.quality.engine import measured
from lakehouse.quality.known import Known
from lakehouse.quality.measure import measure, operators

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

#: The rule that every contract implies: the candidate has all its columns.
SCHEMA = Rule("schema", "row", (), description="The table has every column of its contract.")


NOTHING_KNOWN = Known()


def build_suite(
    contract: Contract, resolve_view: Callable[[str], str], known: Known = NOTHING_KNOWN
) -> ExpectationSuite:
    """The suite of `contract`; meta of each expectation says `rule` and `kind`.

    `resolve_view` gives the name of a temporary view of `measure.CANDIDATE`, or of another table by layer.table.
    Raises RuleError for a rule that cannot be written as an expectation.
    """
    from great_expectations import ExpectationSuite
    from great_expectations import expectations as gxe

    columns = gxe.ExpectTableColumnsToMatchSet(
        column_set=[column.name for column in contract.columns],
        exact_match=False,
        severity="critical",
        meta={"rule": SCHEMA.name, "kind": "schema"},
    )
    rules = [_expectation(contract, rule, resolve_view, known) for rule in contract.rules]
    return ExpectationSuite(
        name=contract.name,
        expectations=[columns, *rules],
        meta={"contract": contract.version, "fingerprint": contract.fingerprint},
    )


def _expectation(contract: Contract, rule: Rule, resolve_view: Callable[[str], str], known: Known) -> Any:
    # Great Expectations' own column expectations count the values that are there beside those that are wrong, and all
    # rows in a query of their own: half as much again as these. Its uniqueness sorts the whole table by a window, its
    # SQL expectation runs every query twice, once to collect rows, and its lengths need a query after all others.
    return measured()(
        expression=measure(contract, rule, resolve_view, known),
        operators={} if rule.name in known.unjudged else operators(contract, rule),
        usual=known.usual.get(rule.name),
        severity=rule.severity,
        description=rule.description or None,
        meta={"rule": rule.name, "kind": rule.kind},
    )
