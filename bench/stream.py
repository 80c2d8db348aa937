"""What a stream bears on this machine: records a second into landing and on into bronze, and lag under steady load.

A broker of its own, a topic of three partitions, events of some 200 bytes. Lag is looked at every second: records that
the topic has and the landing table has not. Nothing is promised, so nothing fails.
Usage: python -m bench.stream [--rows 1000000] [--rate 2000] [--seconds 60] [--output result.json]
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.door import arguments, serving_spark, tell, workplace
from lakehouse import connections, manifest, paths
from lakehouse.config import settings
from lakehouse.contracts import load_contract
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.run import run_tables
from lakehouse.sandbox import kafka, ports
from lakehouse.stream.land import stream
from lakehouse.stream.offsets import lag
from lakehouse.stream.position import Position
from lakehouse.stream.records import Records

TABLE, TOPIC = "bronze.shop_events", kafka.SHOP_EVENTS


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """The port of a broker that ends with the block."""
    port = ports.free_port()
    with (folder / "kafka.log").open("wb") as out:
        argv = kafka.command(folder / "kafka", port)
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        while not ports.answers(port):
            if process.poll() is not None:
                raise SystemExit(f"The broker ended: {(folder / 'kafka.log').read_text()[-800:]}")
            time.sleep(0.1)
        kafka.make_topics(port)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def send(port: int, first: int, count: int, rate: float | None = None) -> None:
    """Events `first` to `first + count`, `rate` a second or as fast as they go."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": f"{ports.HOST}:{port}", "linger.ms": 20, "log_level": 0})
    began = time.monotonic()
    for n in range(first, first + count):
        at = datetime.now(UTC)
        event = {
            "event_id": f"{n:032x}", "event_ts": at.isoformat(), "event_type": "page_view",
            "session_id": f"s{n % 9999}", "customer_id": n % 5000, "product_id": n % 700, "country": "NL", "page_url": "https://shop.example/p/1",
        }  # fmt: skip
        while True:
            try:
                producer.produce(TOPIC, key=f"s{n % 9999}", value=json.dumps(event))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        if rate and n % 100 == 0:
            time.sleep(max(0.0, began + (n - first) / rate - time.monotonic()))
    producer.flush(60)


def landing(trigger: Any = "available-now", seconds: float | None = None) -> tuple[int, float]:
    """Run the stream; records that came, and seconds."""
    contract = load_contract(paths.contract_folder(TABLE))
    assert contract.source
    with closing(connections.open_source("kafka_default")) as client:
        done = stream(contract, contract.source, client, trigger, seconds)
    return done.records, done.seconds


def lags(stop: threading.Event, found: list[int]) -> None:
    """Once a second, records that the topic has and landing has not."""
    records = Records(paths.records(TABLE))
    with closing(connections.open_source("kafka_default")) as client:
        while not stop.wait(1):
            topic = client.topic(TOPIC)
            found.append(lag(topic, records.pieces().landed(topic.id), Position()))


def measure(port: int, rows: int, rate: int, seconds: int) -> dict[str, Any]:
    """All figures; the first, small run warms the server up and is not told."""
    tables = manifest.load()

    def load() -> float:
        began = time.monotonic()
        run = Run(f"bench/{began}", "manual", end=datetime.now(UTC))
        run_tables(tables, [tables[TABLE]], run, connections.open_source, lambda: b"", lambda table, step: None)
        return time.monotonic() - began

    send(port, 0, 20_000)
    landing()
    load()
    send(port, 20_000, rows)
    came, landed = landing()
    loaded = load()
    stop, found = threading.Event(), list[int]()
    producing = threading.Thread(target=send, args=(port, 20_000 + rows, rate * seconds, rate))
    looking = threading.Thread(target=lags, args=(stop, found))
    producing.start()
    looking.start()
    landing("continuous", seconds)
    stop.set()
    producing.join()
    looking.join()
    return {
        "rows": came,
        "landed_rows_a_second": round(came / landed),
        "loaded_rows_a_second": round(came / loaded),
        "rate": rate,
        "seconds": seconds,
        "lag_median": round(statistics.median(found)),
        "lag_max": max(found),
    }


def main() -> None:
    """Measure and print JSON."""
    parser = arguments(__doc__, rows=1_000_000)
    parser.add_argument("--rate", type=int, default=2000, help="records a second of the steady load")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with workplace() as work:
        os.environ["LAKEHOUSE_HOME"] = str(work / "home")
        with broker(work) as port, serving_spark(work, "3g"):
            told = {"conn_type": "kafka", "host": ports.HOST, "port": port}
            os.environ["AIRFLOW_CONN_KAFKA_DEFAULT"] = json.dumps(told)
            settings.cache_clear()
            found = measure(port, options.rows, options.rate, options.seconds)
    tell(found, options.output)


if __name__ == "__main__":
    main()
