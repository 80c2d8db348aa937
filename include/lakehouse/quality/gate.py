"""Runs a contract's suite over a candidate and says what it found. Decides nothing and writes nothing.

Success comes first and alone (BOOLEAN_ONLY); bad rows are counted afterwards, for rules that failed, and never fetched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lakehouse.contracts.model import Contract, Rule
from lakehouse.quality.engine import quiet, validate
from lakehouse.quality.measure import CANDIDATE, COUNTS_ROWS, RuleError, measure
from lakehouse.quality.result import GateResult, RuleResult
from lakehouse.quality.suite import SCHEMA, build_suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

View = Callable[[str], str]


def check(
    contract: Contract,
    candidate: DataFrame,
    resolve: Callable[[str], DataFrame],
    batch_id: str,
    run_id: str,
) -> GateResult:
    """Every rule of `contract` over `candidate`, the table as it would be.

    `resolve` gives another table by layer.table, in the candidate's session. A candidate that lacks a column fails
    its schema and is not looked at further. Raises RuleError when a rule cannot be evaluated.
    """
    started = time.monotonic()
    missing = [column.name for column in contract.columns if column.name not in candidate.columns]
    judged = replace(contract, rules=()) if missing else contract
    with quiet(), _views(candidate, resolve) as view:
        found = {e.expectation_config.meta["rule"]: e for e in validate(build_suite(judged, view), candidate)}
        _refuse_errors(judged, [r for r in judged.rules if _raised(found[r.name])], candidate, view)
        failed = [r for r in judged.rules if not found[r.name].success]
        uncounted = [r for r in failed if r.kind in COUNTS_ROWS and "observed_value" not in found[r.name].result]
        counts = _counts(judged, uncounted, candidate, view)
        schema = RuleResult(
            SCHEMA.name,
            "schema",
            SCHEMA.severity,
            bool(found[SCHEMA.name].success),
            None,
            f"missing columns: {', '.join(missing)}" if missing else "",
            SCHEMA.description,
        )
        rules = [_result(rule, found[rule.name], counts) for rule in judged.rules]
    results = (schema, *rules)
    return GateResult(
        table=contract.name,
        batch_id=batch_id,
        run_id=run_id,
        passed=all(result.success or result.severity == "warning" for result in results),
        results=results,
        seconds=round(time.monotonic() - started, 3),
    )


@contextmanager
def _views(candidate: DataFrame, resolve: Callable[[str], DataFrame]) -> Iterator[View]:
    """Temporary views, made when first asked for and gone afterwards; their names are nobody else's."""
    made: dict[str, str] = {}

    def view(table: str) -> str:
        if table not in made:
            name = f"gate_{uuid4().hex}"
            (candidate if table == CANDIDATE else resolve(table)).createOrReplaceTempView(name)
            made[table] = name
        return made[table]

    try:
        yield view
    finally:
        for name in made.values():
            candidate.sparkSession.catalog.dropTempView(name)


def _result(rule: Rule, outcome: Any, counts: dict[str, int]) -> RuleResult:
    value = outcome.result.get("observed_value", counts.get(rule.name))
    failed_rows, observed = None, ""
    if rule.kind not in COUNTS_ROWS:
        observed = (
            "no number (NULL)" if value is None else f"{value:.15g}" + (" rows" if rule.kind == "row_count" else "")
        )
    elif not outcome.success:
        failed_rows = int(value)
        observed = f"{failed_rows} failing row{'' if failed_rows == 1 else 's'}"
    return RuleResult(
        rule.name, rule.kind, rule.severity, bool(outcome.success), failed_rows, observed, rule.description
    )


def _counts(contract: Contract, rules: list[Rule], candidate: DataFrame, view: View) -> dict[str, int]:
    """Bad rows of each rule, in one query."""
    if not rules:
        return {}
    from pyspark.sql import functions as F

    row = candidate.agg(*[F.expr(measure(contract, rule, view)) for rule in rules]).collect()[0]
    return {rule.name: int(number) for rule, number in zip(rules, row, strict=True)}


def _raised(outcome: Any) -> bool:
    """Whether the expectation, or a metric it needs, raised."""
    info = outcome.exception_info or {}
    return bool(info.get("raised_exception")) or any(
        isinstance(entry, dict) and entry.get("raised_exception") for entry in info.values()
    )


def _refuse_errors(contract: Contract, rules: list[Rule], candidate: DataFrame, view: View) -> None:
    """Raise RuleError for the first of `rules` that Spark cannot evaluate alone.

    One bad rule fails the query it shares, so all of that query's rules come here.
    """
    from pyspark.errors import AnalysisException, PySparkException

    for rule in rules:
        try:
            _counts(contract, [rule], candidate, view)
        except PySparkException as error:
            # Other than the analyser's, Spark's messages quote values; and so would the chained error.
            told = str(error).splitlines()[0] if isinstance(error, AnalysisException) else _condition(error)
            raise RuleError(contract, rule, told) from None
    if rules:
        names = ", ".join(rule.name for rule in rules)
        raise RuleError(contract, rules[0], f"Great Expectations could not, although Spark can (with {names})")


def _condition(error: Any) -> str:
    return f"{type(error).__name__} {error.getCondition() or ''}".strip()
