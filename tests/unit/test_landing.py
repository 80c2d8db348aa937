"""Landing slice by slice: what is there already is not asked for again, and slices without rows are no files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.ingest import landing
from lakehouse.ledger.windows import Window

CONTRACT = load_contract(PROJECT / "include" / "tables" / "bronze" / "products")
START = datetime(2025, 10, 1, tzinfo=UTC)
WINDOW = [Window(START, START + timedelta(days=3))]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """What the source was asked for, by lower bound: a row, then an empty batch, then no batch."""
    assert CONTRACT.source
    found: list[datetime] = []

    def read(connection: Any, query: str, low: datetime, high: datetime) -> Iterator[pa.RecordBatch]:
        found.append(low)
        columns = [pa.array(["x"] if low == START else [], pa.string()) for _ in CONTRACT.columns]
        if low < START + timedelta(days=2):
            yield pa.RecordBatch.from_arrays(columns, names=[c.name for c in CONTRACT.columns])

    monkeypatch.setitem(landing.READERS, CONTRACT.source.kind, read)
    return found


def land(folder: Path) -> int:
    assert CONTRACT.source
    source = replace(CONTRACT.source, chunk=timedelta(days=1), lookback=timedelta(0))
    return landing.land(CONTRACT, source, WINDOW, folder, None, lambda: b"key", lambda line: None)


def test_a_slice_without_rows_is_no_parquet_file(asked: list[datetime], tmp_path: Path) -> None:
    """Spark reads every file that does not begin with an underscore, and none without columns."""
    assert land(tmp_path) == 1
    assert len(asked) == 3
    (file,) = tmp_path.glob("*.parquet")
    assert pq.read_table(file).num_rows == 1
    assert all(other.name.startswith("_") for other in tmp_path.iterdir() if other != file)


def test_an_extract_that_broke_off_goes_on_after_its_finished_slices(asked: list[datetime], tmp_path: Path) -> None:
    land(tmp_path)
    (tmp_path / landing.WHOLE).unlink()
    next(tmp_path.glob("*.parquet")).unlink()
    asked.clear()
    assert land(tmp_path) == 1
    assert asked == [START]


def test_an_extract_that_was_whole_starts_anew(asked: list[datetime], tmp_path: Path) -> None:
    land(tmp_path)
    asked.clear()
    assert land(tmp_path) == 1
    assert len(asked) == 3
