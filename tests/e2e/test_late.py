"""Mails of a real scheduler, through the real provider, into the sink: who is late hears of it, nobody else does."""

from __future__ import annotations

import email
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path

import pytest

from lakehouse.sandbox.rest import Airflow
from tests.e2e.conftest import Platform

DAG = "late"
DEADLINE = timedelta(seconds=6)
#: After a deadline, what was to be mailed has been mailed by then.
PATIENCE = timedelta(seconds=15)


def mails(home: Path) -> list[Message]:
    """The mails about the DAG, oldest first."""
    found = [email.message_from_bytes(file.read_bytes()) for file in sorted((home / "sandbox" / "mail").glob("*.eml"))]
    return [mail for mail in found if f" {DAG} " in mail["Subject"]]


def await_true(what: Callable[[], bool], until: datetime) -> None:
    """Return as soon as `what` holds; fail at `until`."""
    while not what():
        assert datetime.now(UTC) < until
        time.sleep(0.2)


def started(airflow: Airflow, run_id: str) -> datetime:
    """When the run left the queue."""
    await_true(lambda: airflow.dag_run(DAG, run_id).state != "queued", datetime.now(UTC) + timedelta(seconds=60))
    found = airflow.dag_run(DAG, run_id).start
    assert found is not None
    return found


def pass_by(airflow: Airflow, run_id: str) -> None:
    """Let the run's deadline pass, and the time in which a mail would have come."""
    end = started(airflow, run_id) + DEADLINE + PATIENCE
    await_true(lambda: datetime.now(UTC) > end, end + timedelta(seconds=5))


def scenario(home: Path, airflow: Airflow) -> None:
    """A held run, two that wait behind it (one in time, one to fail), and a held backfill run beside it."""
    held, filled = home / "release-held", home / "release-filled"
    airflow.await_dag(DAG)
    airflow.set_paused(DAG, False)
    airflow.trigger(DAG, "held", conf={"until": str(held)})
    begun = started(airflow, "held")
    airflow.trigger(DAG, "behind")
    airflow.trigger(DAG, "failing", conf={"fail": True})
    airflow.backfill(DAG, datetime(2025, 10, 5, tzinfo=UTC), datetime(2025, 10, 5, tzinfo=UTC), {"until": str(filled)})

    await_true(lambda: bool(mails(home)), begun + DEADLINE + PATIENCE)
    assert airflow.dag_run(DAG, "held").state == "running"
    assert airflow.dag_run(DAG, "behind").state == "queued"
    (mail,) = mails(home)
    assert mail.get_content_type() == "text/plain"
    assert mail["To"] == "owner@shop.example"
    assert mail["Subject"] == f"[lakehouse] late: run of {DAG} held"
    text = mail.get_payload()
    assert "the run had 6 s from the run's start" in text
    assert "Not done work (running)" in text
    assert f"/dags/{DAG}/runs/held" in text
    assert "runbooks/stuck_run.md" in text

    (backfill,) = [run.run_id for run in airflow.dag_runs(DAG) if run.run_id.startswith("backfill")]
    pass_by(airflow, backfill)
    assert airflow.dag_run(DAG, backfill).state == "running"
    for file in (held, filled):
        file.touch()
    assert airflow.await_run(DAG, "held", 60).state == "success"
    assert airflow.await_run(DAG, "behind", 60).state == "success"
    assert airflow.await_run(DAG, "failing", 60).state == "failed"
    assert airflow.await_run(DAG, backfill, 60).state == "success"
    assert started(airflow, "behind") > begun + DEADLINE, (
        "it must have waited in the queue for longer than its deadline"
    )
    pass_by(airflow, "failing")
    assert [mail["Subject"] for mail in mails(home)] == [
        f"[lakehouse] late: run of {DAG} held",
        f"[lakehouse] failed: {DAG} failing",
    ]
    assert "Failed   work" in mails(home)[1].get_payload()
    assert "asked to fail" not in mails(home)[1].get_payload()


@pytest.mark.long(60)
def test_who_is_late_is_mailed_once_and_nobody_else_is(platform: Platform, airflow: Airflow) -> None:
    scenario(platform.home, airflow)
