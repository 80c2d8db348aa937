"""The DAG with the trigger form: what it asks, and that its task puts an override on record in somebody's name."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse import paths
from lakehouse.manifest import load
from lakehouse.quality import GateResult, RuleResult, record
from lakehouse.quality.override import use

HELD = "c0ffee" + "0" * 58


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A lake in which the gate of gold.fact_sales held a candidate."""
    monkeypatch.setattr(paths, "lake", lambda: str(tmp_path / "lake"))
    rule = RuleResult("has_rows", "row_count", "critical", False, None, "0 rows", "", 0.0)
    result = GateResult("gold.fact_sales", "b-1", "r-1", False, (rule,), 0.1, HELD)
    record(result, checked_ts=datetime(2026, 3, 1, tzinfo=UTC))


def test_the_form_asks_for_table_candidate_and_reason(dags: dict[str, Any]):
    params = dags["lakehouse_gate_override"].params
    assert {name: params.get_param(name).schema["type"] for name in params} == dict.fromkeys(
        ("table", "candidate", "reason"), "string"
    )
    assert params.get_param("table").schema["enum"] == [entry.name for entry in load().entries]
    assert dags["lakehouse_gate_override"].schedule is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"table": "gold.no_such", "candidate": HELD, "reason": "a good reason"},
        {"table": "gold.fact_sales", "candidate": "latest", "reason": "a good reason"},
        {"table": "gold.fact_sales", "candidate": HELD, "reason": "because"},
    ],
)
def test_the_form_refuses_nonsense(dags: dict[str, Any], wrong: dict[str, str]):
    from airflow.sdk.exceptions import ParamValidationError

    params = {name: dags["lakehouse_gate_override"].params.get_param(name) for name in wrong}
    with pytest.raises(ParamValidationError):
        for name, value in wrong.items():
            params[name].resolve(value)


def run(user: str | None) -> dict[str, Any]:
    return {"dag_run": SimpleNamespace(dag_id="lakehouse_gate_override", run_id="manual__1", triggering_user_name=user)}


def override(**told: str):
    from lakehouse_airflow.operators import OverrideOperator

    return OverrideOperator(task_id="override", table="gold.fact_sales", **told)


@pytest.mark.parametrize(("user", "by"), [("ann", "ann"), (None, "lakehouse_gate_override/manual__1")])
def test_it_is_on_record_in_the_name_of_who_triggered_it(dags, held, user, by):
    told = override(candidate="c0ffee00", reason="a good reason").execute(run(user))
    assert (told["by"], told["candidate"], told["reason"]) == (by, HELD, "a good reason")
    assert "gold_fact_sales.dq_gate" in told["next"]
    assert use("gold.fact_sales", HELD, ["has_rows"], "b-1", "r-1").override_id == told["override_id"]


def test_without_a_candidate_it_only_shows_what_the_gate_found(dags, held):
    told = override(candidate="", reason="").execute(run("ann"))
    assert [(row["candidate"], row["rule"]) for row in told["failed"]] == [(HELD, "has_rows")]
    assert use("gold.fact_sales", HELD, ["has_rows"], "b-1", "r-1") is None


def test_what_cannot_be_overridden_fails_at_once(dags, held):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="no candidate that failed its gate begins with 'beefbeef'"):
        override(candidate="beefbeef", reason="a good reason").execute(run("ann"))
