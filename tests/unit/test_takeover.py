"""Attempts and who follows whom; kill points; a load that two processes put on record. No JVM."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import paths, spark
from lakehouse.config import settings
from lakehouse.delta import ColumnSpec, TableSpec, drop_branch, open_branch
from lakehouse.delta.attempts import open_attempts
from lakehouse.ledger.events import Event, once
from lakehouse.pipeline.batch import Batch, Run, new_attempt
from lakehouse.pipeline.takeover import take_over
from lakehouse.spark import session_id

SPEC = TableSpec((ColumnSpec("id", "BIGINT"),))
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


def run(name: str) -> Run:
    return Run(name, "scheduled", end=NOON)


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    yield Batch("bronze.t", "batch-1", 1, new_attempt("bronze.t", run("r1")), run("r1"), NOON)
    settings.cache_clear()


@pytest.fixture
def fenced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Sessions that were fenced, in order."""
    found: list[str] = []
    monkeypatch.setattr(spark, "fence", found.append)
    return found


def opened(batch: Batch, attempt: str, table: str = "") -> Any:
    path = table or paths.table(batch.table)
    return open_branch(path, f"{path}/_branch/{batch.batch_id}/{attempt}", SPEC, "append")


def test_attempts_are_unique_and_know_their_own() -> None:
    first, second = (Batch("t", "b", 1, new_attempt("t", run("r1")), run("r1"), NOON) for _ in range(2))
    assert first.attempt != second.attempt
    assert second.follows(first.attempt)
    assert not second.follows(second.attempt)
    assert not second.follows(new_attempt("t", run("r2")))
    assert not second.follows(new_attempt("u", run("r1")))


def test_the_first_attempt_asks_nothing_of_spark(batch: Batch, fenced: list[str]) -> None:
    take_over(batch)
    assert fenced == []


def test_earlier_attempts_are_fenced_and_dropped_and_those_of_other_runs_are_not(
    batch: Batch, fenced: list[str]
) -> None:
    """OPS-3: another run at the same batch is alive, for all we know."""
    earlier, other = new_attempt("bronze.t", run("r1")), new_attempt("bronze.t", run("r2"))
    opened(batch, earlier)
    opened(batch, earlier, paths.ops("quarantine"))
    opened(batch, other)
    take_over(batch)
    assert fenced == [session_id("batch-1", earlier)]
    assert set(open_attempts(paths.table("bronze.t"), "batch-1")) == {other}
    assert open_attempts(paths.ops("quarantine"), "batch-1") == {}
    take_over(batch)
    assert len(fenced) == 1


def test_a_dropped_branch_is_no_attempt(batch: Batch) -> None:
    branch = opened(batch, "a-1")
    assert open_attempts(paths.table("bronze.t"), "batch-1") == {"a-1": branch}
    Path(branch.path, f"_fate-{branch.id}").write_text('{"word": "publish"}')  # Somebody has begun to publish it.
    assert drop_branch(branch) is False
    assert Path(branch.path).is_dir(), "its data may be the table's"
    assert open_attempts(paths.table("bronze.t"), "batch-1") == {}
    assert open_attempts(paths.table("bronze.t"), "batch-2") == {}


def test_a_folder_that_is_still_written_to_stops_nobody(
    batch: Batch, fenced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that is being interrupted may add a file while its folder is emptied."""
    import lakehouse.delta

    def busy(branch: Any) -> None:
        raise OSError(39, "Directory not empty")

    opened(batch, new_attempt("bronze.t", run("r1")))
    monkeypatch.setattr(lakehouse.delta, "drop_branch", busy)
    take_over(batch)
    assert len(fenced) == 1


def test_a_publish_on_record_twice_is_read_once() -> None:
    """CON-5: a publisher that slept between commit and event says what another one has said for it."""
    said = Event("published", "bronze.t", "b", 1, "a-1", "r1", "scheduled", counts={"inserted": 3})
    again = replace(said, attempt="a-2", counts={"inserted": 4})
    second_load = replace(said, load=2)
    started = replace(said, event="started")
    assert once([started, said, started, again, second_load]) == [started, said, started, second_load]
