"""Every DAG of the project, triggered without a logical date and with its form as it opens, ends green."""

from __future__ import annotations

from contextlib import closing

import pytest

from lakehouse import connections, paths, warehouse
from lakehouse.config import PROJECT, settings
from lakehouse.delta import read_rows
from lakehouse.sandbox.rest import Airflow
from tests.e2e.conftest import Platform, ends_green

#: Triggered by tests of their own: the platform itself, `test_backfill`, `test_optimize` and `test_stream`.
ELSEWHERE = {"daily", "backfill", "optimize", "stream"}


def as_it_opens(airflow: Airflow, dag: str) -> None:
    """Trigger the DAG as the UI does: every task of it ends well."""
    run = ends_green(airflow, dag, deadline=600)
    assert {task.state for task in airflow.tasks(dag, run.run_id)} == {"success"}


def test_no_dag_is_left_out() -> None:
    files = {file.stem for file in (PROJECT / "dags").glob("*.py")}
    assert files == {*ELSEWHERE, "gate_override", "publish"}


def test_an_override_without_a_candidate_only_shows(platform: Platform, airflow: Airflow) -> None:
    there = read_rows(paths.ops("overrides"))
    as_it_opens(airflow, "lakehouse_gate_override")
    assert read_rows(paths.ops("overrides")) == there


@pytest.mark.long(60)
def test_gold_goes_to_snowflake(platform: Platform, airflow: Airflow) -> None:
    as_it_opens(airflow, "lakehouse_publish")
    with closing(connections.open_source(settings().warehouse.connection)) as connection:
        for contract in warehouse.chosen([]):
            found = warehouse.standing(contract, connection)
            assert (found["next"], found["rows_there"]) == ("nothing", found["rows"]), found
