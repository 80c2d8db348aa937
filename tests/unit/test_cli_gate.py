"""`lakehouse gate`: what was found, as a table and as JSON, and an override that asks first."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from lakehouse import paths
from lakehouse.cli.confirm import NotConfirmed
from lakehouse.cli.main import app
from lakehouse.delta import read_rows
from lakehouse.manifest import ManifestError
from lakehouse.quality import GateResult, RuleResult, record
from lakehouse.quality.override import OverrideRefused

HELD = "c0ffee" + "0" * 58


@pytest.fixture(autouse=True)
def held(tmp_path, monkeypatch):
    """gold.fact_sales is held."""
    monkeypatch.setattr(paths, "lake", lambda: str(tmp_path / "lake"))
    rules = (
        RuleResult("amounts_add_up", "row", "critical", False, 2, "2 failing rows", "", 2.0, ('{"order_id":7}',)),
        RuleResult("has_rows", "row_count", "critical", True, None, "9 rows", "", 9.0),
    )
    result = GateResult("gold.fact_sales", "b-1", "r-1", False, rules, 0.1, HELD)
    record(result, checked_ts=datetime(2026, 3, 1, tzinfo=UTC))


def gate(*arguments: str):
    answer = CliRunner().invoke(app, ["gate", *arguments])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer


def override(*more: str):
    return gate("override", "gold.fact_sales", "--candidate", "c0ffee", "--reason", "known to all", *more)


def test_show_gives_what_failed_where_and_the_candidate():
    told = gate("show", "gold.fact_sales").output
    for said in (HELD, "amounts_add_up", "2 failing rows", '{"order_id":7}', "2026-03-01 00:00:00 UTC"):
        assert said in told
    assert "has_rows" not in told
    assert "has_rows" in gate("show", "gold.fact_sales", "--all").output


def test_show_for_programs():
    (row,) = json.loads(gate("show", "gold.fact_sales", "--output", "json").output)
    assert row == {
        "rule": "amounts_add_up",
        "severity": "critical",
        "success": False,
        "observed": "2 failing rows",
        "sample": '{"order_id":7}',
        "candidate": HELD,
    }


def test_show_of_what_no_gate_saw_is_empty_and_of_no_table_an_error():
    assert "No rows" in gate("show", "gold.dim_date").output
    assert "No rows" in gate("show", "gold.fact_sales", "--candidate", "beef").output
    with pytest.raises(ManifestError, match="no table"):
        gate("show", "gold.fact_sale")


def test_an_override_asks_and_is_on_record():
    with pytest.raises(NotConfirmed):
        override()
    assert read_rows(paths.ops("overrides")) == []
    told = override("--yes").output
    assert "may pass in spite of amounts_add_up" in told
    assert "gold_fact_sales.dq_gate" in told
    (row,) = read_rows(paths.ops("overrides"))
    assert (row["candidate"], row["by"], row["reason"]) == (HELD, getpass.getuser(), "known to all")


def test_an_override_of_nothing_is_refused():
    with pytest.raises(OverrideRefused, match="begins with 'beef'"):
        gate("override", "gold.fact_sales", "--candidate", "beef", "--reason", "known to all", "--yes")
