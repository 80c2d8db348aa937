"""A standalone Spark cluster for a test: master and workers from the pip package, process groups on 127.0.0.1."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lakehouse import aws, connections
from lakehouse.config import PROJECT
from lakehouse.jobs import order, submit
from lakehouse.jobs.order import Order
from lakehouse.jobs.package import build
from lakehouse.pipeline.batch import Run
from lakehouse.spark.jars import resolve_jars, spark_environment, spark_home
from lakehouse.spark.server import FEW_CORES, LOG4J, SMALL_DATA_CONF, s3a_conf

PACKAGE = "org.apache.spark.deploy"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(work: Path) -> dict[str, str]:
    """Of every process of the cluster and of spark-submit: no Spark of this machine's owner, none of their secrets."""
    conf = work / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "log4j2.properties").write_text(LOG4J)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_", "LAKEHOUSE_", "AIRFLOW_"))}
    return {
        **kept,
        **spark_environment(),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(work / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
        "PYSPARK_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
    }


@contextmanager
def cluster(work: Path, env: dict[str, str], workers: int = 2) -> Iterator[str]:
    """The master's address (spark://127.0.0.1:port) once all workers are alive, one core and 1 GB each."""
    port, ui = free_port(), free_port()
    home = str(spark_home() / "bin" / "spark-class")
    master = f"spark://127.0.0.1:{port}"
    commands = [[f"{PACKAGE}.master.Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", str(ui)]]
    for number in range(workers):
        place = ["--host", "127.0.0.1", "--work-dir", str(work / f"worker{number}"), "--webui-port", "0"]
        commands.append([f"{PACKAGE}.worker.Worker", *place, "--cores", "1", "--memory", "1g", master])
    started = []
    try:
        for number, command in enumerate(commands):
            with (work / f"daemon{number}.log").open("wb") as out:
                argv = [home, *command]
                started.append(
                    subprocess.Popen(argv, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
                )
        until = time.monotonic() + 120
        while alive(ui) < workers:
            told = "\n".join(file.read_text()[-800:] for file in sorted(work.glob("daemon*.log")))
            assert time.monotonic() < until and not any(p.poll() for p in started), told
            time.sleep(0.2)
        yield master
    finally:
        # The master last: workers that lose it start to talk about it.
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def alive(ui: int) -> int:
    """Workers that the master counts as alive."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ui}/json/", timeout=5) as answer:
            return int(json.load(answer)["aliveworkers"])
    except OSError:
        return 0


#: One core and little memory for each executor, and Java that starts fast.
SMALL = {
    "spark.driver.memory": "900m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "spark.executor.cores": "1",
    "spark.executor.memory": "640m",
    "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    "spark.cores.max": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def published(
    work: Path, tables: Path, lake: str, names: Sequence[str], run: Run, connection: str, timeout: float
) -> dict[str, Any]:
    """The report of a job that publishes `names` of `tables` in the lake on S3, on a cluster of its own.

    `connection` is aws_default, as Airflow's JSON. Fails unless both workers had a part in it, and where a secret
    shows.
    """
    config = work / "config"
    config.mkdir(parents=True)
    told = yaml.safe_load((PROJECT / "include/config/local.yaml").read_text())
    (config / "cluster.yaml").write_text(yaml.safe_dump({**told, "lake": lake}))
    placed = submit.placed(build(tables, config).write(str(work / "package"))["manifest"])
    reached, place = aws.of(connections.parse(aws.CONNECTION, connection)), f"{lake}/_jobs/1"
    # The machines have the keys, as by a role: they are in no argument, setting or file.
    env = {**environment(work), **reached.environment()}
    env |= {"AIRFLOW_CONN_AWS_DEFAULT": connection, "LAKEHOUSE_CACHE": str(work / "cache")}
    more = {**SMALL, **FEW_CORES, **SMALL_DATA_CONF, **s3a_conf(reached)}
    more["spark.jars"] = ",".join(f"local:{jar}" for jar in resolve_jars())
    asked = Order(tuple(names), run, "publish", place, "cluster", str(work / "home"))
    with cluster(work, env=env) as master:
        arguments = submit.spark_submit(placed, asked, master, more)
        argv = [str(spark_home() / "bin" / "spark-submit"), *arguments]
        ran = subprocess.run(argv, env=env, cwd=work, capture_output=True, text=True, timeout=timeout, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    assert reached.secret
    assert reached.secret not in str(arguments) + ran.stdout + ran.stderr
    report = order.read_report(place)
    assert report["package"] == Path(placed.archive).stem
    assert report["application"]["master"] == master
    for number in (0, 1):
        assert list((work / f"worker{number}").glob(f"{report['application']['id']}/*/stderr"))
    return report
