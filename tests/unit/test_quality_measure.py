"""Rules as expressions and bounds, and what a failed gate says; no engine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contracts import Contract, Rule
from lakehouse.quality import GateFailed, GateResult, RuleError, RuleResult
from lakehouse.quality.known import Known
from lakehouse.quality.measure import CANDIDATE, holds, judged, measure, operators
from lakehouse.quality.observed import result_of
from lakehouse.quality.suite import NOTHING_KNOWN


def contract(*rules: Rule) -> Contract:
    return Contract(
        name="silver.parcels",
        layer="silver",
        table="parcels",
        version="1.0.0",
        description="",
        owner="",
        owner_email="",
        columns=(),
        primary_key=(),
        partition_by=(),
        rules=rules,
        strategy="merge",
        publish_group="",
        source=None,
        scd2=None,
        affected_keys={},
        quarantine_threshold=0.05,
        sla={},
        tags=(),
        path=Path("tables/silver/parcels/contract.odcs.yaml"),
        fingerprint="f",
    )


def view(table: str) -> str:
    return {CANDIDATE: "v0", "silver.vans": "v1"}[table]


def expression(rule: Rule, known: Known = NOTHING_KNOWN) -> str:
    return measure(contract(rule), rule, view, known)


@pytest.mark.parametrize(
    ("bounds", "good", "bad"),
    [
        ({"mustBe": 3}, 3.0, 4),
        ({"mustNotBe": 3}, 4, 3),
        ({"mustBeGreaterThan": 3}, 4, 3),
        ({"mustBeGreaterOrEqualTo": 3}, 3, 2),
        ({"mustBeLessThan": 3}, 2, 3),
        ({"mustBeLessOrEqualTo": 3}, 3, 4),
        ({"mustBeBetween": [1, 3]}, 3, 4),
        ({"mustNotBeBetween": [1, 3]}, 4, 1),
        ({"mustBeGreaterThan": 1, "mustBeLessThan": 3}, 2, 3),
    ],
)
def test_operators_judge(bounds: dict[str, Any], good: float, bad: float) -> None:
    assert holds(good, bounds)
    assert not holds(bad, bounds)
    assert not holds(None, bounds)


def test_a_row_rule_counts_what_is_not_true() -> None:
    said = expression(Rule("r", "row", (), predicate="weight < 40 -- light"))
    assert said == "count_if(NOT coalesce((weight < 40 -- light\n), false))"


def test_names_are_quoted() -> None:
    assert "GROUP BY `a``b`, `c`" in expression(Rule("u", "unique", ("a`b", "c")))
    said = expression(Rule("f", "reference", ("van id",), params={"table": "silver.vans", "column": "id"}))
    assert "LEFT ANTI JOIN v1 AS other ON this.`van id` = other.`id`" in said


def test_a_table_that_refers_to_itself_refers_to_the_candidate() -> None:
    said = expression(Rule("f", "reference", ("parent",), params={"table": "silver.parcels", "column": "id"}))
    assert "LEFT ANTI JOIN v0 AS other" in said


def test_a_query_reads_views() -> None:
    query = "SELECT COUNT(*) FROM ${table} JOIN silver.vans USING (van_id)"
    said = expression(Rule("q", "sql", (), params={"query": query}))
    assert "FROM v0 AS candidate" in said
    assert "JOIN v1 AS vans" in said
    assert "silver" not in said


def test_a_query_that_does_not_parse_names_the_contract_line() -> None:
    rule = Rule("q", "sql", (), params={"query": "SELECT (1 FROM ${table}"}, line=7)
    with pytest.raises(RuleError, match=r"rule q could not be checked.*contract\.odcs\.yaml:7"):
        expression(rule)


def test_a_rule_without_operators_is_refused() -> None:
    for params in ({}, {"mustBeNice": 1}):
        rule = Rule("few", "row_count", (), params=params)
        with pytest.raises(RuleError, match="it needs operators"):
            operators(contract(rule), rule)


def test_a_failed_gate_tells_what_where_and_what_next() -> None:
    rules = (
        RuleResult("light", "row", "warning", False, 2, "2 failing rows", ""),
        RuleResult("parcel_id_unique", "unique", "critical", False, 4, "4 failing rows", ""),
        RuleResult("few", "row_count", "critical", True, None, "9 rows", ""),
    )
    result = GateResult("silver.parcels", "b-1", "r-1", False, rules, 0.5, candidate="c0ffee")
    assert json.loads(json.dumps(result.to_json()))["results"][1]["failed_rows"] == 4
    told = str(GateFailed(result, "/lake/silver/parcels"))
    assert "silver.parcels" in told
    assert "b-1" in told
    assert told.index("parcel_id_unique (critical: 4 failing rows)") < told.index("light (warning: 2 failing rows)")
    assert "few" not in told
    for place in ("lakehouse gate show silver.parcels", "runbooks/dq_failover.md", "/lake/silver/parcels", "c0ffee"):
        assert place in told


def test_shares_and_comparisons_are_judged_in_percent() -> None:
    assert judged([1, 200]) == 0.5
    assert judged([0, 0]) == 0.0
    assert judged([1000, 0]) == 100.0, "a source that says nothing is not right about a thousand rows"
    assert judged(30, 60) == 50.0
    assert judged(None, 60) is None
    assert judged(7) == 7


def test_a_tolerance_in_percent_takes_all_rows_along() -> None:
    rule = Rule("r", "row", (), predicate="a > 0", params={"mustBeLessOrEqualTo": 0.5, "unit": "percent"})
    assert expression(rule).startswith("array(CAST(count_if(")
    assert expression(rule).endswith("CAST(count(1) AS DOUBLE))")
    assert operators(contract(rule), rule) == {"mustBeLessOrEqualTo": 0.5}
    assert result_of(rule, True, [2.0, 500.0], NOTHING_KNOWN, ()).observed == "2 failing rows, 0.4% of 500"


def test_a_query_knows_the_end_of_its_run_and_no_clock() -> None:
    query = "SELECT unix_seconds(${run_end}) - unix_seconds(MAX(at)) FROM ${table}"
    rule = Rule("fresh", "sql", (), params={"query": query, "mustBeLessThan": 60})
    said = expression(rule, Known(run_end=datetime(2026, 3, 1, tzinfo=UTC)))
    assert "CAST('2026-03-01T00:00:00+00:00' AS TIMESTAMP)" in said
    with pytest.raises(RuleError, match="no run whose end"):
        expression(rule)


def test_a_compared_number_is_told_with_what_is_usual() -> None:
    rule = Rule("volume", "row_count", (), params={"mustBeBetween": [50, 200], "compared_with_runs": 7})
    told = result_of(rule, False, 1200, Known(usual={"volume": 3000.0}), ())
    assert (told.observed, told.value) == ("1200 rows, 40% of the usual 3000", 1200.0)
    unsure = result_of(rule, True, 1200, Known(unjudged={"volume": "1 of 3 earlier runs"}), ())
    assert unsure.observed == "1200 rows (not judged: 1 of 3 earlier runs)"


def test_what_the_source_says_is_a_difference() -> None:
    rule = Rule("whole", "source", (), params={"source": "rows"})
    known = Known(figures={"whole": (998.0, 1000.0)})
    assert expression(rule, known) == "CAST(2.0 AS DOUBLE)"
    assert operators(contract(rule), rule) == {"mustBe": 0}
    assert result_of(rule, False, 2.0, known, ()).observed == "998 landed, 1000 at the source"
