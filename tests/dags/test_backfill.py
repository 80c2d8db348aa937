"""The DAG with the backfill's form: as it opens it only tells; and backfill runs of the daily DAG tell no consumer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse import backfill, paths
from lakehouse.config import settings


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lake with nothing in it."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    yield
    settings.cache_clear()


def context(run_type: str = "manual") -> dict[str, Any]:
    run = SimpleNamespace(run_after=datetime(2025, 10, 4, 7, tzinfo=UTC), run_type=run_type)
    return {"dag_run": run, "outlet_events": {}}


def asked(**told: Any) -> Any:
    from lakehouse_airflow.operators import BackfillOperator

    return BackfillOperator(task_id="backfill", **told)


def test_as_the_form_opens_it_tells_and_changes_nothing(dags: dict[str, Any], empty: None) -> None:
    params = {name: dags["lakehouse_backfill"].params.get_param(name).resolve() for name in ("table", "start", "end")}
    form = dags["lakehouse_backfill"].params
    assert form.get_param("dry_run").resolve() is True
    rows = asked(**params, origin=form.get_param("from").resolve()).execute(context())
    assert (rows[0]["table"], rows[0]["does"]) == (params["table"], "nothing")
    assert {row["table"].partition(".")[0] for row in rows} == {"bronze", "silver", "gold"}
    assert not Path(paths.lake()).exists()


def test_what_the_form_says_reaches_the_task_as_it_was_said(dags: dict[str, Any]) -> None:
    from copy import copy

    said = {"table": "orders, silver.orders", "start": "2025-10-01", "end": "2025-10-10", "from": "source"}
    for start, dry_run in (("2025-10-01", False), (None, True)):
        task = copy(dags["lakehouse_backfill"].get_task("backfill"))
        task.render_template_fields({"params": {**said, "start": start, "dry_run": dry_run}})
        found = (task.table, task.start, task.end, task.origin, task.dry_run)
        assert found == (said["table"], start, said["end"], "source", dry_run)


def test_days_left_out_are_the_other_one_or_yesterday(dags: dict[str, Any], empty: None) -> None:
    def window(**told: str) -> str:
        return asked(table="orders", origin="source", **told).execute(context())[0]["windows"]

    assert window() == "2025-10-03 00:00 .. 2025-10-04 00:00"
    assert window(start="2025-10-01") == "2025-10-01 00:00 .. 2025-10-02 00:00"
    assert window(start="2025-10-01", end="2025-10-02") == "2025-10-01 00:00 .. 2025-10-03 00:00"


@pytest.mark.parametrize(
    "wrong",
    [{"table": "nonsense"}, {"table": "silver.orders", "origin": "source"}, {"table": "orders", "start": "2199-01-01"}],
)
def test_what_cannot_be_fails_at_once(dags: dict[str, Any], empty: None, wrong: dict[str, str]) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="->"):
        asked(**wrong).execute(context())


@pytest.mark.parametrize(
    "wrong", [{"table": "orders; DROP"}, {"start": "yesterday"}, {"from": "gold"}, {"dry_run": "perhaps"}]
)
def test_the_form_refuses_nonsense(dags: dict[str, Any], wrong: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    ((name, value),) = wrong.items()
    with pytest.raises(ParamValidationError):
        dags["lakehouse_backfill"].params.get_param(name).resolve(value)


def test_without_the_tick_it_is_done(dags: dict[str, Any], empty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[backfill.Plan] = []

    def work(tables: Any, plan: backfill.Plan, *rest: Any) -> backfill.Done:
        heard.append(plan)
        return backfill.Done("an-id", (SimpleNamespace(table="bronze.orders", counts={"inserted": 3}),), False)

    monkeypatch.setattr(backfill, "work", work)
    rows = asked(table="orders", start="2025-10-01", origin="source", dry_run=False).execute(context())
    assert rows == [{"backfill": "an-id", "table": "bronze.orders", "inserted": 3}]
    assert heard[0].tables[0] == "bronze.orders"


@pytest.mark.parametrize(("run_type", "told"), [("scheduled", 1), ("backfill", 0)])
def test_a_backfill_run_tells_no_consumer(
    dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, run_type: str, told: int
) -> None:
    from lakehouse.pipeline import run
    from lakehouse_airflow.assets import asset
    from lakehouse_airflow.operators import PublishOperator

    monkeypatch.setattr(run, "publish_group", lambda manifest, batches, tell: [])
    task = PublishOperator(task_id="publish", batches=[], outlets=[asset("silver.orders")])
    task.execute(context(run_type))
    # What the task runner reports to the scheduler.
    assert len(task.outlets) == told
