"""What the publish step puts on record of batches that found nothing to change, and of what a group read (OPS-3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse import config, ledger, log, paths
from lakehouse.delta import ColumnSpec, TableSpec, append_rows, diff, latest_version, open_branch
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.publish import publish

NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)
RUN = Run("day", "scheduled", end=NOON)
SPEC = TableSpec((ColumnSpec("n", "BIGINT"),))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    config.settings.cache_clear()
    log.configure(tmp_path / "lakehouse.jsonl")
    yield
    config.settings.cache_clear()


def batch_of(table: str, rows: list[int], **said: object) -> Batch:
    """A batch of `table` as it is now, whose branch adds `rows`."""
    path = paths.table(table)
    branch = open_branch(path, f"{path}/_branch/b/1", SPEC, "append")
    if rows:
        append_rows(branch.path, pa.table({"n": rows}))
    batch = Batch(table, f"batch of {table}", 1, "1", RUN, NOON, (), empty=not rows, branch=branch.to_json())
    return replace(batch, audited=diff(branch).fingerprint if rows else "", **said)


def test_a_batch_without_a_change_does_not_stand_for_rows_that_came_meanwhile() -> None:
    """MOD-1: it was compared with the table as it was. On record over another's rows, those would stay for good."""
    append_rows(paths.table("silver.t"), pa.table({"n": [1]}))
    before = latest_version(paths.table("silver.t"))
    asked: list[str] = []

    def redo(batch: Batch, candidates: object) -> Batch:
        asked.append(batch.table)
        return batch_of(batch.table, [])

    (done,) = publish([batch_of("silver.t", [])], redo)
    assert (asked, done.counts["version"]) == ([], before)
    late = batch_of("silver.t", [])
    append_rows(paths.table("silver.t"), pa.table({"n": [2]}))
    (done,) = publish([replace(late, load=2)], redo)
    assert (asked, done.counts["version"]) == (["silver.t"], before + 1)


def test_a_reader_has_read_the_version_that_its_candidate_became() -> None:
    """OPTIMIZE may come between a candidate and its publish: what the reader consumes next begins after that."""
    append_rows(paths.table("gold.dim"), pa.table({"n": [1]}))
    base = latest_version(paths.table("gold.dim"))
    dim = batch_of("gold.dim", [2])
    fact = batch_of("gold.fact", [3], consumed={"gold.dim": base + 1, "silver.o": 9})
    append_rows(paths.table("gold.dim"), pa.table({"n": []}, pa.schema([("n", pa.int64())])))
    moved = latest_version(paths.table("gold.dim")) - base
    assert moved == 1
    publish([dim, fact], lambda batch, candidates: pytest.fail("conflict"))
    (said,) = [e for e in ledger.read("gold.fact") if e.event == "published"]
    assert said.consumed == {"gold.dim": base + 2, "silver.o": 9}


def test_who_was_held_against_a_candidate_that_is_worked_again_is_audited_again() -> None:
    """DQ-2: its gate looked at keys that are not published so. Its SQL does not read that table."""
    append_rows(paths.table("gold.dim"), pa.table({"n": [1]}))
    dim, other = batch_of("gold.dim", [2]), batch_of("gold.other", [4])
    fact = batch_of("gold.fact", [3], checked={"gold.dim": ["id", 0]})
    append_rows(paths.table("gold.dim"), pa.table({"n": [9]}))
    asked: list[str] = []

    def redo(batch: Batch, candidates: Mapping[str, Batch]) -> Batch:
        asked.append(batch.table)
        assert all(candidate.empty for candidate in candidates.values())
        return replace(batch_of(batch.table, [5]), batch_id="again")

    publish([dim, other, fact], redo)
    assert asked == ["gold.dim", "gold.fact"]
