"""The stream over a real broker: whoever dies, whatever becomes of checkpoint and topic, each offset lands once."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import NewTopic
from typer.testing import CliRunner

from lakehouse import connections, paths
from lakehouse.cli.main import app
from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.delta import latest_version, read_rows, revert, scan, store
from lakehouse.pipeline.batch import Run
from lakehouse.sandbox import kafka
from lakehouse.stream import position as positions
from lakehouse.stream.broker import BrokerUnavailable
from lakehouse.stream.land import Streamed, TopicRecreated, stream
from lakehouse.stream.offsets import OffsetsLost
from lakehouse.stream.records import Records
from tests.integration.attempt import await_frozen, begin, end_of
from tests.integration.conftest import Lakehouse, lake_at
from tests.platform import bring_back, kill, service
from tests.shop import adopt

TABLE, TOPIC = "bronze.shop_events", "shop.events"
RUNBOOK = PROJECT / "runbooks" / "streaming_restart.md"
START = datetime(2025, 10, 1)
SEED = int(os.environ.get("LAKEHOUSE_KILL_SEED") or 7)
EVENTS = 200_000
#: Deaths of a worker, and of Spark; `make thorough` has 3.
DEATHS = int(os.environ.get("LAKEHOUSE_DEATHS") or 1)
POISON = (b"no json", b"\xff\xfe", None, b'["no object"]', b'{"kafka_offset": 1}')
#: Records of a micro-batch in these tests, so that a run has several to die in.
SOME = 15_000


@pytest.fixture(scope="module")
def broker_port(stand_ins: Path) -> int:
    """A broker beside the stand-ins, until they end."""
    bring_back(stand_ins, stream=True)
    return int(service(stand_ins, "kafka").port or 0)


@pytest.fixture
def topic(broker_port: int) -> Iterator[Any]:
    """An administrator's client; the topic is there and empty."""
    admin = kafka.admin(broker_port)
    remake(admin)
    yield admin
    admin.delete_topics([TOPIC])[TOPIC].result()


@pytest.fixture
def lake(lakehouse: Lakehouse, topic: Any) -> Lakehouse:
    """A lake with the streamed table alone."""
    contract = adopt(lakehouse.tables, TABLE) / "contract.odcs.yaml"
    told = f"missingIsError: false\n      options: {{batchRecords: {SOME}}}"
    contract.write_text(contract.read_text().replace("missingIsError: false", told))
    return lakehouse


def remake(admin: Any) -> None:
    """The topic, empty, and with another id than it had."""
    if TOPIC in admin.list_topics(timeout=30).topics:
        admin.delete_topics([TOPIC])[TOPIC].result()
        await_that(lambda: TOPIC not in admin.list_topics(timeout=30).topics)
    admin.create_topics([NewTopic(TOPIC, num_partitions=3)])[TOPIC].result()
    await_that(lambda: partitions(admin) == 3)


def partitions(admin: Any) -> int:
    """How many the broker tells of; it takes a moment to hear of a topic it has made."""
    found = admin.list_topics(timeout=30).topics.get(TOPIC)
    return len(found.partitions) if found else 0


def await_that(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


def produce(port: int, first: int, count: int, rng: random.Random, poison: bool = True) -> None:
    """Events `first` to `first + count`: out of order, some again, some poisoned."""
    producer = Producer({"bootstrap.servers": f"127.0.0.1:{port}", "linger.ms": 50, "log_level": 0})
    numbers = list(range(first, first + count))
    again = rng.sample(numbers, count // 50)
    # Late within some hundred, as clocks and networks have it.
    for n in sorted([*numbers, *again], key=lambda n: n + rng.randrange(400)):
        at = START + timedelta(milliseconds=20 * n)
        value = json.dumps(
            {"event_id": f"e{n}", "event_ts": f"{at}Z", "event_type": "page_view", "customer_id": n % 99}
        )
        producer.produce(TOPIC, key=f"s{n % 97}", value=value, timestamp=int(at.timestamp() * 1000))
        producer.poll(0)
    for value in POISON if poison else ():
        producer.produce(TOPIC, key="poison", value=value, timestamp=int(START.timestamp() * 1000))
    assert producer.flush(60) == 0


def streamed() -> Streamed:
    """The stream, run in this process."""
    contract = load_contract(paths.contract_folder(TABLE))
    assert contract.source
    with closing(connections.open_source(contract.source.connection)) as broker:
        return stream(contract, contract.source, broker)


def ends() -> dict[int, int]:
    """Offsets of the topic: partition -> how many there were."""
    with closing(connections.open_source("kafka_default")) as broker:
        return {partition: high for partition, (_, high) in broker.topic(TOPIC).offsets.items()}


def check_landing(expected: dict[int, int]) -> None:
    """Every offset of the topic is in landing, once."""
    path = paths.records(TABLE)
    assert sorted(columns(path, "partition", "offset")) == every(expected)


def check_bronze(expected: dict[int, int]) -> None:
    """Every offset is in bronze or in quarantine, once, and the books say so."""
    aside = [json.loads(row["key"]) for row in read_rows(paths.ops("quarantine"), {"table": TABLE})]
    places = [(int(key["kafka_partition"]), int(key["kafka_offset"])) for key in aside]
    assert sorted([*columns(paths.table(TABLE), "kafka_partition", "kafka_offset"), *places]) == every(expected)
    assert aside
    check_books()


def every(expected: dict[int, int]) -> list[tuple[int, int]]:
    return sorted((partition, offset) for partition, end in expected.items() for offset in range(end))


def columns(path: str, *names: str) -> list[tuple[Any, ...]]:
    """The table's rows, of these columns alone."""
    with scan(path, {}) as reader:
        table = reader.read_all()
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def check_books() -> None:
    told = CliRunner().invoke(app, ["books", "--table", TABLE])
    assert told.exit_code == 0, told.output


def window(number: int) -> tuple[str, str]:
    """The interval of a run of the stream."""
    low = START + timedelta(minutes=15 * number)
    return low.isoformat(), (low + timedelta(minutes=15)).isoformat()


@pytest.mark.long(300)
def test_every_offset_lands_once_whoever_dies(
    lake: Lakehouse, stand_ins: Path, broker_port: int, topic: Any, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    deaths = ["worker"] * DEATHS + ["spark"] * DEATHS
    rng.shuffle(deaths)
    points = ["stream.opened", "stream.claimed", "stream.positioned", "stream.begun", "stream.batch", "load.appended"]
    points = rng.sample([*points, "extract.slice"], DEATHS)
    statements = rng.sample(["stream 1", "stream 2", "stream 4", "stream 7", "transform 1"], DEATHS)
    share = EVENTS // (2 * DEATHS + 2)
    record_property("deaths", f"{deaths} {points} {statements}")
    for number, who in enumerate(deaths):
        produce(broker_port, share * number, share, rng)
        if who == "worker":
            attempt = begin(TABLE, *window(number), point=points.pop())
            assert end_of(attempt) == -signal.SIGKILL
        else:
            pid = service(stand_ins, "spark").pid
            attempt = begin(TABLE, *window(number), statement=statements.pop(), pid=pid)
            assert end_of(attempt) != 0
            bring_back(stand_ins)
    # The broker dies while a stream reads from it.
    produce(broker_port, share * (2 * DEATHS), share, rng)
    attempt = begin(TABLE, *window(2 * DEATHS), point="stream.begun", freeze=True)
    await_frozen(attempt)
    kill(stand_ins, "kafka")
    assert attempt.pid
    os.kill(attempt.pid, signal.SIGCONT)
    bring_back(stand_ins, stream=True)
    end_of(attempt)
    produce(broker_port, share * (2 * DEATHS + 1), share, rng)
    lake.run(TABLE, *window(2 * DEATHS + 1))
    there = ends()
    assert sum(there.values()) == (2 * DEATHS + 2) * (share + share // 50 + len(POISON))
    check_landing(there)
    check_bronze(there)
    assert len(set(columns(paths.table(TABLE), "event_id"))) == (2 * DEATHS + 2) * share


@pytest.mark.long(30)
@pytest.mark.parametrize("point", ["stream.opened", "stream.claimed", "stream.positioned", "stream.begun"])
def test_whoever_slept_through_another_attempt_doubles_nothing(lake: Lakehouse, broker_port: int, point: str) -> None:
    rng = random.Random(SEED)
    produce(broker_port, 0, 1000, rng)
    asleep = begin(TABLE, *window(0), point=point, freeze=True)
    await_frozen(asleep)
    streamed()
    produce(broker_port, 1000, 1000, rng)
    assert asleep.pid
    os.kill(asleep.pid, signal.SIGCONT)
    # Before it wrote itself down it is the later one, and takes over.
    assert (end_of(asleep) == 0) == (point == "stream.opened")
    streamed()
    check_landing(ends())
    lake.run(TABLE, *window(1))
    check_bronze(ends())


@pytest.mark.long(30)
def test_a_lost_position_changes_nothing(lake: Lakehouse, broker_port: int, topic: Any) -> None:
    rng = random.Random(SEED)
    produce(broker_port, 0, 500, rng)
    streamed()
    produce(broker_port, 500, 500, rng)
    shutil.rmtree(Path(paths.stream(TABLE)) / "position")
    assert streamed().fresh_checkpoint
    check_landing(ends())
    shutil.rmtree(Path(paths.stream(TABLE)) / "position")
    remake(topic)
    with pytest.raises(TopicRecreated):
        streamed()


@pytest.mark.long(35)
def test_a_checkpoint_lost_or_restored_changes_nothing(lake: Lakehouse, broker_port: int) -> None:
    rng, folder = random.Random(SEED), Path(paths.stream(TABLE))
    produce(broker_port, 0, 1000, rng)
    assert streamed().fresh_checkpoint
    produce(broker_port, 1000, 1000, rng)
    assert not streamed().fresh_checkpoint
    kept = folder / positions.checkpoint("", positions.read(str(folder))).strip("/")
    shutil.copytree(kept, folder / "backup")
    produce(broker_port, 2000, 1000, rng)
    streamed()
    # From a backup: Spark would go on from there, and Delta's sink take its batches for known.
    shutil.rmtree(kept)
    (folder / "backup").rename(kept)
    produce(broker_port, 3000, 1000, rng)
    assert streamed().fresh_checkpoint
    check_landing(ends())
    for gone in folder.glob("checkpoint-*"):
        shutil.rmtree(gone)
    produce(broker_port, 4000, 1000, rng)
    assert streamed().fresh_checkpoint
    check_landing(ends())
    assert len(list(folder.glob("checkpoint-*"))) == 1
    lake.run(TABLE, *window(0))
    check_bronze(ends())


@pytest.mark.long(35)
def test_a_topic_made_anew_is_not_read_past(lake: Lakehouse, broker_port: int, topic: Any) -> None:
    rng = random.Random(SEED)
    produce(broker_port, 0, 500, rng)
    lake.run(TABLE, *window(0))
    first = ends()
    remake(topic)
    # More than the old one had: offsets alone would not tell.
    produce(broker_port, 500, 2000, rng)
    with pytest.raises(TopicRecreated, match=TOPIC):
        streamed()
    assert Records(paths.records(TABLE)).pieces().rows() == sum(first.values())
    told = CliRunner().invoke(app, ["stream", "adopt", "--table", TABLE, "--reason", "moved to a new cluster", "--yes"])
    assert told.exit_code == 0, told.output
    lake.run(TABLE, *window(1))
    (said,) = positions.read(paths.stream(TABLE)).said
    assert said.reason == "moved to a new cluster"
    rows = columns(paths.table(TABLE), "event_id")
    assert len(rows) == 500 + 10 + 2000 + 40
    assert len(set(rows)) == 2500
    check_books()


@pytest.mark.long(30)
def test_what_the_topic_deleted_too_early_is_named_and_given_up_on_record(
    lake: Lakehouse, broker_port: int, topic: Any
) -> None:
    rng = random.Random(SEED)
    produce(broker_port, 0, 500, rng)
    streamed()
    landed = ends()
    produce(broker_port, 500, 500, rng)
    there = ends()
    gone = landed[0] + 3
    topic.delete_records([TopicPartition(TOPIC, 0, gone)])[TopicPartition(TOPIC, 0, gone)].result()
    with pytest.raises(OffsetsLost, match=rf"offsets {landed[0]} to {gone - 1} of partition 0"):
        streamed()
    told = CliRunner().invoke(app, ["stream", "give-up", "--table", TABLE, "--reason", "retention", "--yes"])
    assert f"gave up {landed[0]}-{gone - 1} of partition 0" in told.output
    assert streamed().lag == 0
    assert Records(paths.records(TABLE)).pieces().rows() == sum(there.values()) - 3


def test_no_broker_and_no_topic_are_told_apart(lake: Lakehouse, monkeypatch: pytest.MonkeyPatch, topic: Any) -> None:
    contract = paths.contract_folder(TABLE) / "contract.odcs.yaml"
    contract.write_text(contract.read_text().replace("object: shop.events", "object: shop.nothing"))
    told = CliRunner().invoke(app, ["stream", "status", "--table", TABLE])
    assert "has no topic 'shop.nothing'" in str(told.exception)
    nobody = {"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:9"}}
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", json.dumps(nobody))
    monkeypatch.setattr("lakehouse.stream.broker.TIMEOUT", 2.0)
    with pytest.raises(BrokerUnavailable, match="kafka_default"):
        streamed()


@pytest.mark.long(35)
def test_a_continuous_stream_takes_what_comes(lake: Lakehouse, broker_port: int) -> None:
    rng = random.Random(SEED)
    produce(broker_port, 0, 1000, rng)
    contract = load_contract(paths.contract_folder(TABLE))
    assert contract.source
    came: list[str] = []

    def told(line: str) -> None:
        came.append(line)
        if len(came) == 1:
            produce(broker_port, 1000, 1000, rng)

    with closing(connections.open_source("kafka_default")) as broker:
        # On a busy machine it may take all of its time to begin.
        for _ in range(4):
            if len(came) < 2:
                stream(contract, contract.source, broker, "continuous", 16, told)
    assert len(came) >= 2
    streamed()
    check_landing(ends())


@pytest.mark.long(70)
def test_the_runbooks_commands_work(lake: Lakehouse, broker_port: int) -> None:
    from tests.unit.test_runbooks import commands, parts

    rng = random.Random(SEED)
    produce(broker_port, 0, 1000, rng)
    lake.run_as(TABLE, Run("test/first", "manual", end=datetime(2025, 10, 2, tzinfo=UTC)))
    first = ends()
    for line in commands(RUNBOOK):
        for program, *words in parts(line):
            assert program == "lakehouse"
            told = CliRunner().invoke(app, words)
            # These two are for topics that this one is not.
            refused = words[1] in ("adopt", "give-up")
            assert (told.exit_code != 0) == refused, (line, told.output, told.exception)
        produce(broker_port, 1000 + len(line), 1, rng, poison=False)
    check_landing({partition: min(end, ends()[partition]) for partition, end in landed().items()})
    assert all(landed()[partition] >= end for partition, end in first.items())
    streamed()
    lake.run_as(TABLE, Run("test/last", "manual", end=datetime.now(UTC)))
    check_landing(ends())
    check_bronze(ends())


def landed() -> dict[int, int]:
    """Where landing ends, by the topic's partitions."""
    where = positions.read(paths.stream(TABLE))
    return Records(paths.records(TABLE)).pieces().landed(where.topic_id)


@pytest.mark.long(90)
def test_a_stream_lands_and_loads_on_s3(stand_ins: Path, tmp_path: Path, broker_port: int, topic: Any) -> None:
    """Records, checkpoint and position, then landing files, quarantine and a replay; nothing lies on this machine."""
    with lake_at(tmp_path, stand_ins, "s3-stream") as lake:
        adopt(lake.tables, TABLE)
        for number in range(2):
            produce(broker_port, 1000 * number, 1000, random.Random(SEED))
            (batch,) = lake.run(TABLE, *window(number))
        check_landing(ends())
        check_bronze(ends())
        assert {"records", "position", "checkpoint-0001"} <= set(store.names(paths.stream(TABLE)))
        before = lake.rows(TABLE)
        revert(paths.table(TABLE), latest_version(paths.table(TABLE)), {})
        assert len(lake.rows(TABLE)) < len(before)
        told = CliRunner().invoke(app, ["replay", TABLE, "--batch", batch.batch_id])
        assert told.exit_code == 0, told.output
        assert lake.rows(TABLE) == before
        check_bronze(ends())
        assert not (tmp_path / "lake").exists()
