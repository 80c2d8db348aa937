"""Mails about runs: to whom, about what, and when there is none. The scheduler's part is in tests/e2e/test_late.py."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOW = datetime(2025, 10, 4, 2, 20, 4, tzinfo=UTC)
KNOWN = {"bronze_orders": "orders@shop.example", "silver_orders": "sales@shop.example"}
RUN = {
    "dag_id": "lakehouse_daily",
    "dag_run_id": "scheduled__2025-10-03",
    "state": "running",
    "run_type": "scheduled",
    "start_date": "2025-10-04T02:00:00Z",
}


@pytest.fixture
def sla(dags: dict[str, Any]) -> Any:
    """The module, imported once Airflow is."""
    from lakehouse_airflow import sla

    return sla


@pytest.fixture
def missed(sla: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`missed(run, states)` -> what was mailed."""
    from lakehouse_airflow import alerts

    def call(run: dict[str, Any], states: dict[str, str | None], tasks: tuple[str, ...] = ()) -> list[Any]:
        sent: list[Any] = []
        monkeypatch.setattr(sla, "_states", lambda dag_id, run_id: states)
        monkeypatch.setattr(alerts, "send", lambda *mail: sent.append(mail))
        asyncio.run(sla.missed("quality gates", 1200, KNOWN, tasks, sla.RUNBOOK, context={"dag_run": run}))
        return sent

    return call


def test_the_owners_of_what_is_unfinished_are_mailed(missed: Any):
    states = {"bronze_orders.dq_gate": "success", "silver_orders.dq_gate": "running", "silver_orders.publish": None}
    ((to, subject, text),) = missed(RUN, states, ("bronze_orders.dq_gate", "silver_orders.dq_gate"))
    assert to == ["sales@shop.example"]
    assert subject == "[lakehouse] late: quality gates of lakehouse_daily scheduled__2025-10-03"
    assert "Not done silver_orders.dq_gate (running)" in text
    assert "publish" not in text
    assert "/dags/lakehouse_daily/runs/scheduled__2025-10-03" in text


@pytest.mark.parametrize(
    ("changed", "states"),
    [
        ({"state": "failed"}, {"silver_orders.dq_gate": "running"}),
        ({"state": "success"}, {"silver_orders.dq_gate": "success"}),
        ({"state": "queued"}, {"silver_orders.dq_gate": None}),
        ({"run_type": "backfill"}, {"silver_orders.dq_gate": "running"}),
        ({}, {"silver_orders.dq_gate": "success"}),
        ({}, {"silver_orders.dq_gate": "upstream_failed"}),
    ],
)
def test_nobody_is_mailed(missed: Any, changed: dict[str, str], states: dict[str, str | None]):
    assert missed({**RUN, **changed}, states) == []


def test_a_mail_names_what_is_late_and_by_how_much(sla: Any):
    subject, text = sla.mail("quality gates", 1200, {"silver_orders.dq_gate": None}, RUN, NOW)
    assert "the quality gates had 20 min from the run's start" in text
    assert "Due      2025-10-04 02:20:00 UTC, 4 s ago" in text
    assert "Not done silver_orders.dq_gate (waiting)" in text
    assert "\n" not in subject


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (4, "4 s"), (1200, "20 min"), (5400, "1 h 30 min"), (7205, "2 h 5 s")]
)
def test_lengths_are_spelled(sla: Any, seconds: int, text: str):
    assert sla.spell(timedelta(seconds=seconds)) == text


def test_a_deadline_counts_from_the_start_of_the_run(sla: Any):
    def deadline(path: str, missed: bool = False) -> SimpleNamespace:
        data = {"path": path, "kwargs": {"seconds": 1200}}
        return SimpleNamespace(callback=SimpleNamespace(data=data), missed=missed, deadline_time=sla.UNSTARTED)

    ours, past, theirs = (
        deadline("lakehouse_airflow.sla.missed"),
        deadline("lakehouse_airflow.sla.missed", True),
        deadline("a.b"),
    )
    sla.on_dag_run_running(SimpleNamespace(deadlines=[ours, past, theirs], start_date=NOW), "started")
    assert ours.deadline_time == NOW + timedelta(minutes=20)
    assert past.deadline_time == theirs.deadline_time == sla.UNSTARTED


def test_the_daily_dag_has_a_deadline_for_the_run_and_one_for_all_its_gates(dags: dict[str, Any]):
    run, gates = dags["lakehouse_daily"].deadline
    assert run.interval == timedelta(hours=2)
    assert run.callback.kwargs["tasks"] == []
    assert gates.interval == timedelta(minutes=20)
    assert "gold_fact_sales.dq_gate" in gates.callback.kwargs["tasks"]
    assert set(gates.callback.kwargs["tasks"]) <= set(dags["lakehouse_daily"].task_ids)


def test_every_dag_has_a_deadline_and_mails_its_failure(dags: dict[str, Any]):
    for dag in dags.values():
        assert dag.deadline, dag.dag_id
        assert dag.on_failure_callback, dag.dag_id


def test_a_failure_mail_names_tasks_and_the_runbook_of_a_gate(dags: dict[str, Any]):
    from lakehouse_airflow.failure import mail

    states = {"silver_orders.dq_gate": "failed", "silver_orders.publish": "upstream_failed", "a.b": "success"}
    subject, text = mail("lakehouse_daily", "r1", "task_failure", states)
    assert subject == "[lakehouse] failed: lakehouse_daily r1"
    assert "a task failed" in text
    assert "Failed   silver_orders.dq_gate" in text
    assert "Not run  1 tasks" in text
    assert "runbooks/dq_failover.md" in text
    assert "runbooks/stuck_run.md" in mail("d", "r", "timed_out", {"a.transform": "failed"})[1]


def test_a_mail_goes_to_the_owners_of_its_tables_or_to_all():
    from lakehouse_airflow.owners import addressed

    assert addressed(["bronze_orders.extract", "bronze_orders.dq_gate"], KNOWN) == ["orders@shop.example"]
    assert addressed(["publish_star"], KNOWN) == sorted(KNOWN.values())
    assert addressed([], KNOWN) == sorted(KNOWN.values())


def test_airflow_has_every_command_of_the_runbooks(dags: dict[str, Any]):
    """By Airflow's own parser; nothing is started."""
    from airflow.cli.cli_parser import get_parser

    from tests.unit.test_runbooks import COMMANDS

    parser, given = get_parser(), [command for command in COMMANDS if command.startswith("airflow ")]
    assert given
    for command in given:
        assert parser.parse_args([word.strip("<>") for word in shlex.split(command)[1:]]).func, command


def test_the_runbooks_that_mails_name_are_there(sla: Any):
    from lakehouse_airflow import failure

    named = {sla.RUNBOOK, failure.RUNBOOK, *failure.RUNBOOKS.values(), "runbooks/full_disk.md"}
    assert {page for page in named if not (ROOT / page).is_file()} == set()


def test_a_triggerer_imports_nothing_for_a_late_mail(dags: dict[str, Any], airflow_environment: dict[str, str]):
    """In a process of its own: the event loop of the first late run imports nothing that takes long."""
    probe = (
        "import sys, time; sys.argv = ['airflow', 'triggerer']\n"
        "from lakehouse_airflow import preload; preload.on_starting(None)\n"
        "known = set(sys.modules); began = time.process_time()\n"
        "from airflow.sdk._shared.module_loading import import_string\n"
        "import_string('lakehouse_airflow.sla.missed')\n"
        "from asgiref.sync import sync_to_async; from lakehouse_airflow.alerts import send\n"
        "from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance\n"
        "print(len(set(sys.modules) - known), time.process_time() - began)"
    )
    argv = [sys.executable, "-c", probe]
    ran = subprocess.run(argv, env=airflow_environment, capture_output=True, text=True, timeout=120, check=True)
    new, seconds = ran.stdout.split()[-2:]
    assert int(new) == 0
    assert float(seconds) < 0.1
