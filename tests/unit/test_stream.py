"""A stream's pieces without broker and Spark: records as rows, positions, checkpoints, what a broker is told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import lineage, manifest, paths
from lakehouse.config import PROJECT, settings
from lakehouse.connections import Connection, ConnectionMalformed
from lakehouse.contracts import ContractError, load_contract
from lakehouse.ingest.feed import FAULT, RAW
from lakehouse.ingest.files.faults import COLUMN_LIMIT
from lakehouse.ingest.kafka import KafkaFeed, Members, _decoded
from lakehouse.stream import position as positions
from lakehouse.stream.broker import Broker, Topic
from lakehouse.stream.checkpoint import agrees
from lakehouse.stream.offsets import OffsetsLost, first_offsets, lag, starting_offsets
from lakehouse.stream.position import Position, PositionBroken
from lakehouse.stream.records import Records
from lakehouse.stream.words import DecisionRefused, give_up, standing

CONTRACT = load_contract(PROJECT / "include" / "tables" / "bronze" / "shop_events")
assert CONTRACT.source
SOURCE = CONTRACT.source


def decoded(*values: bytes | None) -> list[dict[str, object]]:
    """The rows that the feed makes of records with these values."""
    count = len(values)
    batch = pa.RecordBatch.from_pydict(
        {
            "offset": pa.array(range(count), pa.int64()),
            "topic": pa.array(["t"] * count),
            "timestamp": pa.array([0] * count, pa.timestamp("us", "UTC")),
            "key": pa.array([b"k"] * count, pa.binary()),
            "value": pa.array(values, pa.binary()),
        }
    )
    return _decoded(batch, 3, Members(KafkaFeed(CONTRACT).names)).to_pylist()


def test_members_come_as_text_and_strangers_beside_them():
    (row,) = decoded(b'{"event_id": "e", "customer_id": 1.10, "more": {"a": [1, null]}, "country": null}')
    assert (row["event_id"], row["customer_id"], row["country"], row["more"]) == ("e", "1.10", None, '{"a":[1,null]}')
    assert (row["kafka_partition"], row["kafka_offset"], row["kafka_key"]) == (3, 0, "k")
    assert (row[FAULT], row[RAW]) == (None, None)


@pytest.mark.parametrize(
    ("value", "fault", "raw"),
    [
        (None, "record_empty", None),
        (b"", "record_empty", ""),
        (b"no json", "record_malformed", "no json"),
        (b"[1]", "record_malformed", "[1]"),
        (b'{"a": 1, "a": 2}', "record_malformed", '{"a": 1, "a": 2}'),
        (b'{"kafka_offset": 5}', "record_malformed", '{"kafka_offset": 5}'),
        (b'{"_fault": "x"}', "record_malformed", '{"_fault": "x"}'),
        (rb'{"a": "\ud800"}', "record_malformed", r'{"a": "\ud800"}'),
        (rb'{"\ud800": 1}', "record_malformed", r'{"\ud800": 1}'),
        (b'{" ": 1}', "record_malformed", '{" ": 1}'),
        (b"\xff\x00", "record_bad_encoding", '{"base64": "/wA="}'),
        (b"[" * 100_000, "record_malformed", "[" * 100_000),
    ],
)
def test_poison_is_one_row_at_fault_and_keeps_its_place(value: bytes | None, fault: str, raw: str | None):
    good = b'{"event_id": "e"}'
    before, row, after = decoded(good, value, good)
    assert (row[FAULT], row[RAW], row["event_id"], row["kafka_offset"]) == (fault, raw, None, 1)
    assert [other[FAULT] for other in (before, after)] == [None, None]
    assert [other["event_id"] for other in (before, after)] == ["e", "e"]


@given(st.lists(st.one_of(st.none(), st.binary(max_size=12), st.sampled_from([b'{"event_id": "e"}', b'{"x": "\\n"}']))))
def test_every_record_is_one_row(values: list[bytes | None]):
    rows = decoded(*values)
    assert [row["kafka_offset"] for row in rows] == list(range(len(values)))
    assert all((row[FAULT] is None) == (row[RAW] is None and value not in (None, b"")) for row, value in
               zip(rows, values, strict=True))  # fmt: skip


def test_a_delivery_is_named_by_partition_offsets_and_file():
    (piece,) = KafkaFeed(CONTRACT).plan((), ["2/100-199#topic_id=T/partition=2/part-1.parquet"])
    assert piece.name == "000000-2-100-199"
    assert piece.spec == {"partition": 2, "file": "topic_id=T/partition=2/part-1.parquet"}


def test_more_members_than_a_table_could_have_are_set_aside():
    many = json.dumps({f"m{n}": n for n in range(COLUMN_LIMIT)}).encode()
    good, row, after = decoded(b'{"event_id": "e", "one": 1}', many, b'{"event_id": "f", "two": 2}')
    assert (good["one"], row[FAULT], after["two"]) == ("1", "record_malformed", "2")


def test_every_batch_of_a_file_has_every_members_column(tmp_path, monkeypatch):
    monkeypatch.setattr("lakehouse.stream.records.BATCH", 2)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    feed = KafkaFeed(CONTRACT)
    feed.records.begin()
    values = [b'{"event_id": "a", "x": 1}', b"{}", b'{"event_id": "b", "y": 2}', b"no", b'{"z": 3, "x": 4}']
    count = len(values)
    rows = {
        "topic_id": ["T"] * count, "partition": pa.array([0] * count, pa.int32()), "offset": range(count),
        "topic": ["t"] * count, "timestamp": pa.array([0] * count, pa.timestamp("us", "UTC")),
        "key": pa.array([b"k"] * count), "value": pa.array(values),
    }  # fmt: skip
    write_deltalake(feed.records.path, pa.table(rows), mode="append", partition_by=["topic_id", "partition"])
    (piece,) = feed.plan((), feed.deliveries())
    for keep in (10**9, 0):
        monkeypatch.setattr("lakehouse.ingest.files.passes.KEEP", keep)
        batches = list(feed.read(piece))
        assert len(batches) == 3
        assert len({tuple(batch.schema.names) for batch in batches}) == 1
        found = [row for batch in batches for row in batch.to_pylist()]
        assert [(row["x"], row["y"], row["z"]) for row in found] == [
            ("1", None, None), (None, None, None), (None, "2", None), (None, None, None), ("4", None, "3"),
        ]  # fmt: skip
        assert [row[FAULT] for row in found] == [None, None, None, "record_malformed", None]
    settings.cache_clear()


TOPIC = Topic("t", "ID", {0: (0, 100), 1: (10, 50)})


def begun(position: Position, landed: dict[int, int], source=SOURCE, topic: Topic = TOPIC) -> dict[int, int]:
    """Where a run begins."""
    seen = replace(position, begun=first_offsets(source, topic, position, landed))
    return starting_offsets(CONTRACT, topic, landed, seen)


def test_a_stream_begins_where_records_end_or_the_topic_begins():
    assert begun(Position(), {}) == {0: 0, 1: 10}
    assert begun(Position(topic_id="ID"), {0: 40, 1: 20}) == {0: 40, 1: 20}


def test_latest_is_where_the_topic_ended_at_the_very_first_run():
    latest = replace(SOURCE, options={"startingOffsets": "latest"})
    assert begun(Position(), {}, latest) == {0: 100, 1: 50}
    # Nothing came to partition 1 since; and the first run may have died.
    seen = Position(topic_id="ID", begun={"0": 100, "1": 50})
    more = Topic("t", "ID", {0: (0, 120), 1: (10, 50)})
    assert begun(seen, {}, latest, more) == {0: 100, 1: 50}
    # A partition that was added later is read from its beginning all the same.
    grown = Topic("t", "ID", {0: (0, 100), 1: (10, 50), 2: (0, 9)})
    assert begun(seen, {0: 100}, latest, grown)[2] == 0
    # The position is lost, and records say that this is no first run.
    assert begun(Position(), {0: 90}, latest) == {0: 90, 1: 10}


def test_offsets_that_are_gone_are_named_until_they_are_given_up():
    with pytest.raises(OffsetsLost, match="offsets 5 to 9 of partition 1"):
        begun(Position(topic_id="ID", begun={"0": 0, "1": 0}), {1: 5})
    # Of a partition in which nothing has landed, too.
    with pytest.raises(OffsetsLost, match="offsets 3 to 9 of partition 1"):
        begun(Position(topic_id="ID", begun={"0": 0, "1": 3}), {0: 9})
    given_up = Position(topic_id="ID", begun={"0": 0, "1": 0}, given_up={"1": 10})
    assert begun(given_up, {1: 5})[1] == 10
    with pytest.raises(OffsetsLost, match="ends at offset 100, and 101 is the next"):
        begun(Position(topic_id="ID"), {0: 101})


def test_what_a_later_partition_lost_before_anybody_looked_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    seen = Position(topic_id="ID", begun={"0": 0, "1": 10})
    assert positions.write(paths.stream(CONTRACT.name), positions.read(paths.stream(CONTRACT.name)), seen)
    Records(paths.records(CONTRACT.name)).begin()
    grown = Topic("t", "ID", {0: (0, 100), 1: (10, 50), 2: (50, 60)})
    with pytest.raises(OffsetsLost, match="offsets 0 to 49 of partition 2"):
        begun(seen, {}, topic=grown)
    broker = SimpleNamespace(topic=lambda name: grown)
    assert [row["lag"] for row in standing(CONTRACT, SOURCE, broker)] == [100, 40, 10]
    after = give_up(CONTRACT, SOURCE, broker, "ann", "retention was too short")
    assert after.given_up == {"2": 50}
    assert starting_offsets(CONTRACT, grown, {}, after) == {0: 0, 1: 10, 2: 50}
    with pytest.raises(DecisionRefused, match="still has every offset"):
        give_up(CONTRACT, SOURCE, broker, "ann", "again")
    settings.cache_clear()


def test_lag_counts_what_the_topic_still_has():
    assert lag(TOPIC, {}, Position()) == 140
    assert lag(TOPIC, {0: 90, 1: 50}, Position(topic_id="ID")) == 10
    assert lag(TOPIC, {0: 100, 1: 5}, Position(topic_id="ID", given_up={"1": 40})) == 10


def write_checkpoint(folder: Path, ends: list[dict[int, int]], done: int) -> None:
    for kind in ("offsets", "commits"):
        (folder / kind).mkdir(parents=True)
    (folder / "metadata").write_text('{"id":"x"}')
    for number, end in enumerate(ends):
        told = json.dumps({"t": {str(partition): offset for partition, offset in end.items()}})
        (folder / f"offsets/{number}").write_text(f'v1\n{{"batchTimestampMs":1}}\n{told}')
        if number < done:
            (folder / f"commits/{number}").write_text('v1\n{"nextBatchWatermarkMs":0}')


@pytest.mark.parametrize(
    ("done", "start", "goes_on"),
    [
        (2, {0: 20, 1: 15}, True),
        (2, {0: 20, 1: 15, 2: 0}, True),
        (2, {0: 20, 1: 15, 2: 5}, False),
        (2, {0: 10, 1: 12}, False),
        (2, {0: 21, 1: 15}, False),
        # Batch 1 was begun: nobody knows whether its records landed.
        (1, {0: 20, 1: 15}, False),
        (1, {0: 10, 1: 12}, False),
    ],
)
def test_a_checkpoint_is_gone_on_with_only_where_records_end(tmp_path, done, start, goes_on):
    write_checkpoint(tmp_path, [{0: 10, 1: 12}, {0: 20, 1: 15}], done)
    assert agrees(str(tmp_path), "t", start) is goes_on


def test_a_checkpoint_that_is_gone_or_broken_agrees_with_nothing(tmp_path):
    assert not agrees(str(tmp_path / "gone"), "t", {0: 0, 1: 10})
    write_checkpoint(tmp_path, [{0: 10, 1: 12}], 1)
    assert agrees(str(tmp_path), "t", {0: 10, 1: 12})
    (tmp_path / "metadata").unlink()
    assert not agrees(str(tmp_path), "t", {0: 10, 1: 12})
    (tmp_path / "metadata").write_text("{}")
    (tmp_path / "offsets/0").write_text("v1\n{}\nno json")
    assert not agrees(str(tmp_path), "t", {0: 10, 1: 12})


def test_a_position_is_read_as_it_was_written_and_one_of_two_writers_wins(tmp_path):
    folder = str(tmp_path)
    first = positions.read(folder)
    assert first == Position()
    at = datetime(2026, 1, 2, tzinfo=UTC)
    kept = Position(topic_id="ID", checkpoint=3, attempts=("a",), begun={"1": 10}).with_word(at, "me", "reset", "why")
    written = positions.write(folder, first, kept)
    assert positions.read(folder) == written == replace(kept, number=1)
    assert positions.write(folder, first, replace(kept, checkpoint=9)) is None
    for _ in range(30):
        written = positions.write(folder, written, written)
    assert len(list((tmp_path / "position").iterdir())) == positions.KEPT
    (tmp_path / "position" / f"{written.number:012d}.json").write_text("{}")
    with pytest.raises(PositionBroken, match=f"{written.number:012d}"):
        positions.read(folder)


def test_a_new_checkpoint_has_a_number_that_none_has(tmp_path):
    assert positions.next_checkpoint(str(tmp_path), Position()) == 1
    (tmp_path / "checkpoint-0007").mkdir()
    assert positions.next_checkpoint(str(tmp_path), Position(checkpoint=3)) == 8
    assert positions.next_checkpoint(str(tmp_path), Position(checkpoint=9)) == 10


def test_spark_is_told_what_the_client_is_told():
    plain = Broker(Connection("k", "kafka", host="b", port=9093))
    assert plain.for_spark() == {"kafka.bootstrap.servers": "b:9093"}
    extra = {"bootstrap.servers": "b:1", "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
             "ssl.ca.location": "/ca.pem"}  # fmt: skip
    told = Broker(Connection("k", "kafka", login="u", password='p"w', extra=extra)).for_spark()
    assert told["kafka.ssl.truststore.type"] == "PEM"
    assert 'username="u" password="p\\"w";' in told["kafka.sasl.jaas.config"]
    assert told["kafka.sasl.jaas.config"].startswith("org.apache.kafka.common.security.scram.ScramLoginModule ")


def test_what_spark_would_not_be_told_is_refused():
    with pytest.raises(ConnectionMalformed, match="has the option acks"):
        Broker(Connection("k", "kafka", host="b", extra={"acks": "all"}))
    with pytest.raises(ConnectionMalformed, match="names no broker"):
        Broker(Connection("k", "kafka"))
    with pytest.raises(ConnectionMalformed, match=r"unknown sasl\.mechanism"):
        Broker(Connection("k", "kafka", host="b", login="u", extra={"sasl.mechanism": "GSSAPI"})).for_spark()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("physicalType: INT\n", "physicalType: INT\n        customProperties: [{property: protect, value: mask}]\n",
         "a stream lands kafka_partition as it came"),
        ("- name: kafka_offset", "- name: kafka_place", "the contract has no column kafka_offset"),
        ("missingIsError: false", "options: {startingOffsets: middle}", "startingOffsets: 'middle'"),
        ("missingIsError: false", "options: {batchRecords: 0}", "batchRecords is 0"),
    ],
)  # fmt: skip
def test_a_contract_that_no_stream_could_keep_is_refused(tmp_path, old, new, told):
    folder = tmp_path / "bronze" / "shop_events"
    folder.mkdir(parents=True)
    text = CONTRACT.path.read_text()
    assert old in text
    (folder / "contract.odcs.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(ContractError, match=told):
        load_contract(folder)


def test_streamed_tables_are_left_alone_by_the_daily_run_and_by_stars():
    tables = manifest.load(PROJECT / "include" / "tables")
    names = {entry.name for entry in tables.streamed().entries}
    assert names == {"bronze.shop_events"}
    for selector in ("*", "bronze.*", "+silver.behavior_events"):
        assert not names & {entry.name for entry in tables.select(selector)}
    assert not names & {entry.name for entry in tables.scheduled().entries}
    assert [entry.name for entry in tables.select("bronze.shop_events")] == ["bronze.shop_events"]


def test_lineage_goes_from_topic_to_records_to_landing_to_table():
    steps = [lineage.of_step(step, CONTRACT) for step in ("stream", "extract", "transform")]
    assert [d.name for d in steps[0].inputs] == ["shop.events"]
    for before, after in pairwise(steps):
        assert before.outputs[0].name == after.inputs[0].name
    assert steps[-1].outputs[0].name.endswith("/bronze/shop_events")
