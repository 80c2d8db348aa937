"""Watermarks in SSM, over the real client against the stand-in: never lost, never back, whoever writes at once."""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse import aws, watermarks
from lakehouse.pipeline import watermark as pipeline
from lakehouse.watermarks import SqliteStore, SsmStore, WatermarkStoreUnavailable
from tests.engine.test_watermarks import KEY, day, load, orders

__all__ = ["orders"]

T0 = datetime(2025, 10, 1, tzinfo=UTC)
ROUNDS, WRITERS = 12, 4


def at(n):
    return T0 + timedelta(hours=n)


def ahead(n):
    """A decision of somebody who knows of nothing but his own moment: it never goes back."""
    return lambda held: max(held or at(n), at(n))


@pytest.fixture
def ssm(s3):
    """A path of its own in the stand-in, which `s3` has started."""
    return SsmStore(f"/etl/watermarks/{uuid.uuid4().hex}")


@pytest.fixture(params=["ssm", "sqlite"])
def marks(request, tmp_path):
    return request.getfixturevalue("ssm") if request.param == "ssm" else SqliteStore(tmp_path / "marks.db")


def raw(ssm, key):
    return aws.client("ssm", aws.access()).get_parameter(Name=f"{ssm.prefix}/{key}")["Parameter"]


def test_it_goes_forward_and_is_found_again(marks):
    assert (marks.get("snowflake_orders_max_ts"), marks.all()) == (None, {})
    assert marks.update("snowflake_orders_max_ts", ahead(2)) == at(2)
    assert marks.update("snowflake_orders_max_ts", ahead(1)) == at(2)
    assert marks.update("redshift_behavior_max_ts", ahead(3)) == at(3)
    assert marks.get("snowflake_orders_max_ts") == at(2)
    assert marks.all() == {"redshift_behavior_max_ts": at(3), "snowflake_orders_max_ts": at(2)}


def test_the_parameter_is_a_plain_moment_for_outsiders(ssm):
    ssm.update("key", lambda held: at(1).astimezone(tz=None))
    found = raw(ssm, "key")
    assert (found["Value"], found["Type"], found["Version"]) == ("2025-10-01T01:00:00.000000+00:00", "String", 1)
    ssm.update("key", ahead(1))
    assert raw(ssm, "key")["Version"] == 1


def test_more_than_one_page_is_listed(ssm):
    for n in range(12):
        ssm.update(f"key_{n:02}", ahead(n))
    assert list(ssm.all().values()) == [at(n) for n in range(12)]


def test_what_was_buried_is_found_by_the_gap_in_versions(ssm):
    """Two others write between this writer's look and its write; the better of them wins in the end."""
    ssm.update("key", ahead(0))
    asked = []

    def decide(held):
        asked.append(held)
        if len(asked) == 1:
            ssm.update("key", ahead(9))
            ssm.update("key", ahead(10))
        return ahead(5)(held)

    assert ssm.update("key", decide) == at(10)
    assert asked == [at(0), at(9), at(10), at(5)]
    assert ssm.get("key") == at(10)
    assert raw(ssm, "key")["Version"] == 5


def test_a_slow_writer_between_two_higher_values_does_not_bring_it_back(ssm):
    """Somebody who looked long ago writes just before this writer puts right what it had buried itself."""
    ssm.update("key", ahead(0))
    asked = []

    def decide(held):
        asked.append(held)
        if len(asked) == 1:
            ssm.update("key", ahead(9))
        if len(asked) == 2:
            told = {"Value": at(3).isoformat(timespec="microseconds"), "Type": "String", "Overwrite": True}
            aws.client("ssm", aws.access()).put_parameter(Name=f"{ssm.prefix}/key", **told)
        return ahead(5)(held)

    assert ssm.update("key", decide) == at(9)
    assert ssm.get("key") == at(9)
    assert asked == [at(0), at(9), at(5), at(3), at(9)]


def test_a_parameter_deleted_or_spoilt_by_hand_is_written_anew(ssm):
    client = aws.client("ssm", aws.access())
    ssm.update("key", ahead(4))
    client.delete_parameter(Name=f"{ssm.prefix}/key")
    assert ssm.update("key", ahead(2)) == at(2)
    client.put_parameter(Name=f"{ssm.prefix}/key", Value="yesterday", Type="String", Overwrite=True)
    assert (ssm.get("key"), ssm.all()) == (None, {})
    assert ssm.update("key", ahead(3)) == at(3)


def racing(environ, marks, offset):
    os.environ.update(environ)
    for n in range(ROUNDS):
        marks.update("key", ahead(n * WRITERS + offset))


def test_racing_processes_end_at_the_highest(marks):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    told = {name: os.environ[name] for name in ("AIRFLOW_CONN_AWS_DEFAULT",) if name in os.environ}
    writers = [context.Process(target=racing, args=(told, marks, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert marks.get("key") == at(ROUNDS * WRITERS - 1)


@pytest.fixture
def configured(marks, orders, monkeypatch):
    """The store that the pipeline uses for bronze.orders."""
    monkeypatch.setattr(watermarks, "store", lambda: marks)
    return marks


def test_a_writer_that_slept_through_a_recorded_set_does_not_undo_it(configured, orders):
    """ING-3: it decides, somebody goes back on record, it writes: in the end the ledger is right."""
    load(0, 5)
    asked = []

    def slow(held):
        asked.append(wanted := pipeline._decide(orders)(held))
        if len(asked) == 1:
            pipeline.set_watermark(orders, day(2), "ann", "wrong prices")
        return wanted

    pipeline.follow(orders)
    load(5, 6)
    assert configured.update(KEY, slow) == configured.get(KEY) == day(2)
    # SSM asks once more, of what was written: it cannot look and write at once.
    assert asked == [day(6), day(2), *([day(2)] if isinstance(configured, SsmStore) else [])]
    load(2, 3)
    assert pipeline.follow(orders) == day(3)


def test_a_store_that_refuses_is_named_without_secrets(ssm, monkeypatch):
    told = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])
    told["extra"]["endpoint_url"] = "http://127.0.0.1:9"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(told))
    monkeypatch.setattr("lakehouse.watermarks.ssm._RETRIES", (("total_max_attempts", 1),))
    with pytest.raises(WatermarkStoreUnavailable, match="EndpointConnectionError") as error:
        ssm.get("key")
    assert "test-secret" not in str(error.value)


def test_a_refusal_by_ssm_is_told_with_its_code(s3):
    with pytest.raises(WatermarkStoreUnavailable, match=r"(Validation|AccessDenied)Exception"):
        SsmStore("/aws/watermarks").update("key", ahead(1))


def test_the_embedded_store_waits_for_a_lock(tmp_path: Path):
    marks = SqliteStore(tmp_path / "marks.db")
    with sqlite3.connect(marks.path) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO watermark VALUES ('key', ?, '')", (at(5).isoformat(timespec="microseconds"),))
    assert marks.update("key", ahead(1)) == at(5)
