"""Landing slice by slice, on each store: what is there already is not asked for again, and whoever dies, a load is
there whole or is not taken for whole."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.contracts.model import Rule
from lakehouse.delta import store
from lakehouse.ingest import figures, kept, landing
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


@pytest.fixture
def folder(root: str) -> str:
    return f"{root}/_landing/bronze/products/0/1"


def land(feed: Feed, folder: str) -> int:
    return landing.land(CONTRACT, feed, WINDOW, (), folder, lambda: b"key", lambda line: None)


def rows(folder: str) -> list[dict[str, object]]:
    """What landed."""
    return [row for file in landing.landing_files(folder) for row in landing.opened(file).read().to_pylist()]


def test_a_slice_without_rows_is_no_parquet_file(folder: str) -> None:
    """Spark reads every file that does not begin with an underscore, and none without columns."""
    feed = Source()
    assert land(feed, folder) == 1
    assert feed.asked == ["a", "b", "c"]
    assert len(rows(folder)) == landing.rows_in(folder) == 1
    assert {name for name in store.names(folder) if not name.startswith("_")} == {"a.parquet"}


def test_an_extract_that_broke_off_goes_on_after_its_finished_slices(folder: str) -> None:
    feed = Source()
    land(feed, folder)
    store.delete(f"{folder}/{landing.WHOLE}")
    store.delete(f"{folder}/a.parquet")
    feed.asked.clear()
    feed.names = ["another", "plan"]
    assert land(feed, folder) == 1
    assert feed.asked == ["a"]


def test_an_extract_that_was_whole_starts_anew(folder: str) -> None:
    feed = Source()
    land(feed, folder)
    feed.asked.clear()
    assert land(feed, folder) == 1
    assert feed.asked == ["a", "b", "c"]


def test_a_source_that_breaks_off_within_a_slice_leaves_none_of_it(folder: str) -> None:
    class Broken(Source):
        def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
            yield from super().read(piece)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        land(Broken(), folder)
    assert store.names(folder) == [landing.PLAN]
    assert not landing.is_whole(folder)


def _die_at(point: str, folder: str) -> None:
    os.environ["LAKEHOUSE_KILL_POINT"] = point
    land(Source(), folder)


@pytest.mark.parametrize(("point", "left"), [("extract.slice", ["b", "c"]), ("extract.whole", ["a", "b", "c"])])
def test_a_killed_extract_is_gone_on_with(folder: str, point: str, left: list[str]) -> None:
    """By SIGKILL, after its first slice, or after all: then nobody knows how it went on, and it starts anew."""
    killed = multiprocessing.get_context("fork").Process(target=_die_at, args=(point, folder))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert landing.is_whole(folder) is (point == "extract.whole")
    feed = Source()
    assert land(feed, folder) == 1
    assert feed.asked == left
    assert landing.is_whole(folder)


@pytest.mark.parametrize("deleted", range(5))
def test_a_load_half_deleted_is_neither_whole_nor_gone_on_with(folder: str, deleted: int) -> None:
    """Who deletes a load may die after any of its files: what is left of it is never taken for the load."""
    land(Source(), folder)
    dying, gone = store.delete, []

    def delete_some(path: str) -> None:
        if len(gone) == deleted:
            raise InterruptedError
        gone.append(path)
        dying(path)

    def one_by_one(place: str) -> None:
        for name in sorted(store.names(place), reverse=True):
            delete_some(f"{place}/{name}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "delete", delete_some)
        patch.setattr(store, "remove_tree", one_by_one)
        with pytest.raises(InterruptedError):
            landing.forget(folder)
    assert not landing.is_whole(folder) or len(rows(folder)) == 1
    feed = Source()
    assert land(feed, folder) == 1
    assert feed.asked == ["a", "b", "c"]


def test_two_attempts_at_once_have_one_plan(folder: str) -> None:
    """Slices of one load do not overlap: whoever planned first did it for both."""

    class Slow(Source):
        def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
            other = Source()
            other.names = ["a"]
            land(other, folder)
            return super().plan(windows, deliveries)

    feed = Slow()
    assert land(feed, folder) == 1
    assert [piece.name for piece in landing.slices_of(folder)] == ["a"]
    assert set(feed.asked) <= {"a"}


def test_columns_are_known_by_their_source_names_in_any_case_and_others_are_marked(folder: str) -> None:
    first, second = CONTRACT.columns[:2]

    class Renamed(Source):
        def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
            names = [first.source_name.swapcase(), second.source_name, second.source_name.swapcase(), "NEW"]
            yield pa.RecordBatch.from_arrays([pa.array([name]) for name in names], names=names)

    feed = Renamed()
    feed.names = ["a"]
    assert land(feed, folder) == 1
    (row,) = rows(folder)
    swapped = second.source_name.swapcase()
    assert row == {
        first.name: first.source_name.swapcase(),
        second.name: second.source_name,
        f"extra:{swapped}": swapped,
        "extra:NEW": "NEW",
    }


def test_rows_of_quarantine_land_in_place_of_what_was_there(folder: str) -> None:
    land(Source(), folder)
    kept.land_kept(CONTRACT, ['{"product_id": 1}', '{"product_id": 2}'], folder, b"key")
    assert landing.is_whole(folder)
    assert [row["product_id"] for row in rows(folder)] == [1, 2]


def test_what_a_source_says_of_its_rows_is_kept_beside_them(folder: str) -> None:
    """Landed and said, of all slices together; without a rule that asks, and without an answer, there is none."""

    class Asked(Source):
        def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
            prices = pa.array([Decimal("1.50"), None, Decimal("0.25")])
            yield pa.RecordBatch.from_arrays([prices], names=[CONTRACT.column("list_price").source_name])

        def figures(self, piece: Slice, columns: Sequence[str]) -> Sequence[Decimal]:
            assert list(columns) == ["list_price"]
            return [Decimal(3), Decimal("1.75")]

    rules = [
        Rule(name="count", kind="source", columns=(), severity="critical"),
        Rule(name="sum", kind="source", columns=(), severity="critical", params={"of": "list_price"}),
    ]
    contract, feed = replace(CONTRACT, rules=tuple(rules)), Asked()
    feed.names = ["a", "b"]
    land(feed, folder)
    assert figures.figures(contract, folder) == {}
    figures.ask(replace(CONTRACT, rules=()), feed, folder)
    assert figures.figures(contract, folder) == {}
    figures.ask(contract, feed, folder)
    assert figures.figures(contract, folder) == {"count": (6.0, 6.0), "sum": (3.5, 3.5)}
    assert len(rows(folder)) == 6
