"""Landing slice by slice: what is there already is not asked for again, and slices without rows are no files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.ingest import landing
from lakehouse.ingest.feed import Feed, Slice
from lakehouse.ledger.windows import Window

CONTRACT = load_contract(PROJECT / "include" / "tables" / "bronze" / "products")
START = datetime(2025, 10, 1, tzinfo=UTC)
WINDOW = [Window(START, START + timedelta(days=3))]


class Source:
    """A feed of three slices: a row, then an empty batch, then no batch. Notes which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.names = ["a", "b", "c"]

    def deliveries(self) -> Sequence[str]:
        return ()

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        return [Slice(name) for name in self.names]

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        self.asked.append(piece.name)
        columns = [pa.array(["x"] if piece.name == "a" else [], pa.string()) for _ in CONTRACT.columns]
        if piece.name != "c":
            yield pa.RecordBatch.from_arrays(columns, names=[c.source_name for c in CONTRACT.columns])


def land(feed: Feed, folder: Path) -> int:
    return landing.land(CONTRACT, feed, WINDOW, (), folder, lambda: b"key", lambda line: None)


def test_a_slice_without_rows_is_no_parquet_file(tmp_path: Path) -> None:
    """Spark reads every file that does not begin with an underscore, and none without columns."""
    feed = Source()
    assert land(feed, tmp_path) == 1
    assert feed.asked == ["a", "b", "c"]
    (file,) = tmp_path.glob("*.parquet")
    assert pq.read_table(file).num_rows == 1
    assert all(other.name.startswith("_") for other in tmp_path.iterdir() if other != file)


def test_an_extract_that_broke_off_goes_on_after_its_finished_slices(tmp_path: Path) -> None:
    feed = Source()
    land(feed, tmp_path)
    (tmp_path / landing.WHOLE).unlink()
    (tmp_path / "a.parquet").unlink()
    feed.asked.clear()
    feed.names = ["another", "plan"]
    assert land(feed, tmp_path) == 1
    assert feed.asked == ["a"]


def test_an_extract_that_was_whole_starts_anew(tmp_path: Path) -> None:
    feed = Source()
    land(feed, tmp_path)
    feed.asked.clear()
    assert land(feed, tmp_path) == 1
    assert feed.asked == ["a", "b", "c"]


def test_columns_are_known_by_their_source_names_in_any_case_and_others_are_marked(tmp_path: Path) -> None:
    first, second = CONTRACT.columns[:2]

    class Renamed(Source):
        def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
            names = [first.source_name.swapcase(), second.source_name, second.source_name.swapcase(), "NEW"]
            yield pa.RecordBatch.from_arrays([pa.array([name]) for name in names], names=names)

    feed = Renamed()
    feed.names = ["a"]
    assert land(feed, tmp_path) == 1
    (row,) = pq.read_table(tmp_path / "a.parquet").to_pylist()
    swapped = second.source_name.swapcase()
    assert row == {
        first.name: first.source_name.swapcase(),
        second.name: second.source_name,
        f"extra:{swapped}": swapped,
        "extra:NEW": "NEW",
    }
