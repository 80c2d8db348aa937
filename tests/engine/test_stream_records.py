"""A stream's landing table without Spark: what its log tells, and what goes from it when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse import ledger, paths
from lakehouse.config import settings
from lakehouse.delta import drop_files, files_in, latest_version
from lakehouse.ledger.events import Event
from lakehouse.maintenance import expire_records
from lakehouse.stream.records import Records, RecordsGone

TABLE = "bronze.shop_events"
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty landing table."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    found = Records(paths.records(TABLE))
    assert found.pieces() == []
    found.begin()
    yield found
    settings.cache_clear()


def land(records: Records, topic_id: str, partition: int, first: int, last: int) -> None:
    """One file of offsets `first` to `last`."""
    offsets = list(range(first, last + 1))
    rows = {
        "topic_id": pa.array([topic_id] * len(offsets)),
        "partition": pa.array([partition] * len(offsets), pa.int32()),
        "offset": pa.array(offsets, pa.int64()),
        "topic": pa.array(["t"] * len(offsets)),
        "timestamp": pa.array([AT] * len(offsets), pa.timestamp("us", "UTC")),
        "key": pa.array([b"k"] * len(offsets), pa.binary()),
        "value": pa.array([b"{}"] * len(offsets), pa.binary()),
    }
    write_deltalake(records.path, pa.table(rows), mode="append", partition_by=["topic_id", "partition"])


def loaded(records: Records, offsets: set[int], age: int) -> None:
    """Say that the files beginning with these offsets were loaded `age` days before AT."""
    names = tuple(piece.name for piece in records.pieces() if piece.first in offsets)
    moment = AT - timedelta(days=age)
    ledger.append(
        Event("published", TABLE, f"b{age}", 1, "a", "r", "scheduled", deliveries=names, version=0, event_ts=moment)
    )


def test_offsets_are_read_off_the_log(records: Records):
    land(records, "A", 0, 0, 9)
    land(records, "A", 1, 5, 6)
    land(records, "A", 0, 12, 14)
    land(records, "B", 0, 0, 0)
    assert [(p.topic_id, p.partition, p.first, p.last, p.rows) for p in records.pieces()] == [
        ("A", 0, 0, 9, 10), ("A", 1, 5, 6, 2), ("A", 0, 12, 14, 3), ("B", 0, 0, 0, 1),
    ]  # fmt: skip
    assert records.pieces().landed("A") == {0: 15, 1: 7}
    assert records.pieces().landed("B") == {0: 1}
    assert records.pieces().rows() == 16
    (piece,) = [p for p in records.pieces() if p.first == 12]
    (batch,) = records.read(piece.file)
    assert batch.column("offset").to_pylist() == [12, 13, 14]
    Path(records.path, piece.file).unlink()
    with pytest.raises(RecordsGone, match="lakehouse stream rewind"):
        list(records.read(piece.file))


def test_old_records_go_but_for_the_newest_of_each_partition(records: Records):
    for first in (0, 10, 20):
        land(records, "A", 0, first, first + 9)
    land(records, "A", 1, 100, 109)
    loaded(records, {0, 100}, 100)
    loaded(records, {10}, 10)
    before = latest_version(records.path)
    assert expire_records(TABLE, timedelta(days=90), dry_run=True, at=AT) == 1
    assert latest_version(records.path) == before
    assert expire_records(TABLE, timedelta(days=90), at=AT) == 1
    # Of partition 1 the only file is old; without it the stream would begin anew there.
    assert [(p.partition, p.first) for p in records.pieces()] == [(0, 10), (0, 20), (1, 100)]
    assert records.pieces().landed("A") == {0: 30, 1: 110}
    assert expire_records(TABLE, timedelta(days=90), at=AT) == 0


def test_records_that_never_were_loaded_stay(records: Records):
    land(records, "A", 0, 0, 9)
    land(records, "A", 0, 10, 19)
    assert expire_records(TABLE, timedelta(0), at=AT) == 0
    assert len(records.pieces()) == 2


def test_a_file_is_taken_out_once_and_appends_beside_it_stay(records: Records):
    land(records, "A", 0, 0, 9)
    (file,) = files_in(records.path)
    land(records, "A", 0, 10, 19)
    assert drop_files(records.path, [file], "test")
    assert [p.first for p in records.pieces()] == [10]
    version = latest_version(records.path)
    assert not [f for f in files_in(records.path) if f["path"] == file["path"]]
    land(records, "A", 0, 20, 29)
    assert latest_version(records.path) == version + 1
    assert [p.first for p in records.pieces()] == [10, 20]
