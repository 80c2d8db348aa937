"""A real Kafka broker for the sandbox: one node in KRaft mode, from Kafka's own jars, on loopback.

Topics stay over a restart. Without login, as no other machine can reach it.
"""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from lakehouse.sandbox import ports
from lakehouse.sandbox.errors import ServiceFailed
from lakehouse.spark.jars import resolve_jars, spark_home
from lakehouse.spark.java import java_home

COORDINATES = ("org.apache.kafka:kafka_2.13:4.4.0",)

#: What the shop's apps send to.
SHOP_EVENTS = "shop.events"
#: Topics of the shop, and their partitions.
TOPICS: Mapping[str, int] = {SHOP_EVENTS: 3}

_MEMORY = ("-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def classpath() -> str:
    """The broker's jars. The first call of a machine resolves them; raises JarsMissing."""
    # spark-submit resolves everything but Scala, which Spark has.
    scala = sorted((spark_home() / "jars").glob("scala-*.jar"))
    return ":".join(map(str, [*resolve_jars(COORDINATES, (), beside_spark=False), *scala]))


def command(folder: Path, port: int) -> list[str]:
    """The broker's command line, its data in `folder`; formatted at the first call. Raises ServiceFailed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    java = [str(java_home() / "bin" / "java"), *_MEMORY, "-cp", classpath(), f"-Djava.io.tmpdir={folder}"]
    settings = folder / "server.properties"
    settings.write_text(_properties(folder, port))
    if not (folder / "data" / "meta.properties").is_file():
        argv = [*java, "kafka.tools.StorageTool", "format", "--cluster-id", _cluster_id(), "--config", str(settings)]
        ran = subprocess.run(argv, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise ServiceFailed(
                f"Kafka's folder {folder} could not be formatted: {(ran.stderr or ran.stdout)[-800:]}",
                "Delete the folder, and start the sandbox again.",
            )
    return [*java, "kafka.Kafka", str(settings)]


def make_topics(port: int, topics: Mapping[str, int] = TOPICS) -> None:
    """Make what is missing of `topics`."""
    from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

    client = admin(port)
    there = set(client.list_topics(timeout=30).topics)
    wanted = [NewTopic(name, num_partitions=count) for name, count in topics.items() if name not in there]
    for made in client.create_topics(wanted).values() if wanted else ():
        made.result()


def admin(port: int) -> Any:
    """An administrator's client of the broker."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": f"{ports.HOST}:{port}", "log_level": "0"})


def _properties(folder: Path, port: int) -> str:
    # Nobody but itself asks the controller; it may be anywhere.
    controller = ports.free_port([port])
    told = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{ports.HOST}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{ports.HOST}:{port},CONTROLLER://{ports.HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{ports.HOST}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # The shop's calendar lies in the past: by records' times all of them would be too old to keep.
        "log.retention.ms": "-1",
    }
    return "".join(f"{name}={value}\n" for name, value in told.items())


def _cluster_id() -> str:
    """A UUID in Kafka's spelling: base64, without padding, and never with a dash first, which would be an option."""
    while (told := base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return told
