"""Runs a contract's suite over a candidate and says what it found. Decides nothing and writes nothing.

Success comes first and alone (BOOLEAN_ONLY). For rules that failed bad rows are counted afterwards, and a few of their
keys taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lakehouse.contracts.model import Contract, Rule
from lakehouse.quality.engine import quiet, validate
from lakehouse.quality.known import Known
from lakehouse.quality.measure import CANDIDATE, PART, RuleError, View, measure
from lakehouse.quality.observed import result_of
from lakehouse.quality.result import GateResult, RuleResult
from lakehouse.quality.sample import samples
from lakehouse.quality.suite import NOTHING_KNOWN, SCHEMA, build_suite
from lakehouse.spark import gone

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def check(
    contract: Contract,
    candidate: DataFrame,
    resolve: Callable[[str], DataFrame],
    batch_id: str,
    run_id: str,
    known: Known = NOTHING_KNOWN,
) -> GateResult:
    """Every rule of `contract` over `candidate`, the table as it would be.

    `resolve` gives another table by layer.table, in the candidate's session; `known` is what rules go by besides. A
    candidate that lacks a column fails its schema and is not looked at further. Raises RuleError when a rule cannot
    be evaluated.
    """
    started = time.monotonic()
    missing = [column.name for column in contract.columns if column.name not in candidate.columns]
    judged = replace(contract, rules=()) if missing else contract
    spark = candidate.sparkSession
    part = spark.read.format("delta").load(known.part.path) if known.part else candidate
    with quiet(), _views(spark, {CANDIDATE: candidate, PART: part}, resolve) as view:
        suite = build_suite(judged, view, known)
        found = {e.expectation_config.meta["rule"]: e for e in validate(suite, part)}
        _refuse_errors([r for r in judged.rules if _raised(found[r.name])], _Measuring(judged, part, view, known))
        failed = [r for r in judged.rules if not found[r.name].success]
        # Dense keys were found to repeat, but in how many rows only the long way tells.
        exact = replace(known, dense=frozenset())
        counts = _Measuring(judged, part, view, exact).counts([r for r in failed if r.name in known.dense])
        keys = samples(spark, judged, failed, view)
        schema = RuleResult(
            SCHEMA.name,
            "schema",
            SCHEMA.severity,
            bool(found[SCHEMA.name].success),
            None,
            f"missing columns: {', '.join(missing)}" if missing else "",
            SCHEMA.description,
        )
        rules = []
        for rule in judged.rules:
            value = counts.get(rule.name, found[rule.name].result.get("observed_value"))
            rules.append(result_of(rule, bool(found[rule.name].success), value, known, keys.get(rule.name, ())))
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
def _views(spark: SparkSession, own: Mapping[str, DataFrame], resolve: Callable[[str], DataFrame]) -> Iterator[View]:
    """Temporary views, made when first asked for and gone afterwards; their names are nobody else's."""
    made: dict[str, str] = {}

    def view(table: str) -> str:
        if table not in made:
            name = f"gate_{uuid4().hex}"
            (own[table] if table in own else resolve(table)).createOrReplaceTempView(name)
            made[table] = name
        return made[table]

    try:
        yield view
    finally:
        for name in made.values():
            spark.catalog.dropTempView(name)


@dataclass(frozen=True)
class _Measuring:
    """Rules measured without Great Expectations, over what it was given."""

    contract: Contract
    rows: DataFrame
    view: View
    known: Known

    def counts(self, rules: Sequence[Rule]) -> dict[str, int]:
        """The number of each rule, in one query."""
        if not rules:
            return {}
        from pyspark.sql import functions as F

        expressions = [F.expr(measure(self.contract, rule, self.view, self.known)) for rule in rules]
        row = self.rows.agg(*expressions).collect()[0]
        return {rule.name: number for rule, number in zip(rules, row, strict=True)}


def _raised(outcome: Any) -> bool:
    """Whether the expectation, or a metric it needs, raised."""
    info = outcome.exception_info or {}
    return bool(info.get("raised_exception")) or any(
        isinstance(entry, dict) and entry.get("raised_exception") for entry in info.values()
    )


def _refuse_errors(rules: list[Rule], measuring: _Measuring) -> None:
    """Raise RuleError for the first of `rules` that Spark cannot evaluate alone.

    One bad rule fails the query it shares, so all of that query's rules come here.
    """
    from pyspark.errors import AnalysisException, PySparkException

    for rule in rules:
        try:
            measuring.counts([rule])
        except PySparkException as error:
            if gone(error):
                raise
            # Other than the analyser's, Spark's messages quote values; and so would the chained error.
            told = str(error).splitlines()[0] if isinstance(error, AnalysisException) else _condition(error)
            raise RuleError(measuring.contract, rule, told) from None
    if rules:
        names = ", ".join(rule.name for rule in rules)
        told = f"Great Expectations could not, although Spark can (with {names})"
        raise RuleError(measuring.contract, rules[0], told)


def _condition(error: Any) -> str:
    return f"{type(error).__name__} {error.getCondition() or ''}".strip()
