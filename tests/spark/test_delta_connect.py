"""The Connect server as it is started and reached: token, loopback, absent and hung servers, zombies."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import threading
import time
import uuid
from urllib.parse import urlsplit

import psutil
import pytest

from lakehouse.config import settings
from lakehouse.spark import Fenced, SparkUnavailable, connect, connected, fence, session_id
from lakehouse.spark.classes import archive


@pytest.fixture
def endpoint(monkeypatch):
    """Points this process's settings at another endpoint."""

    def point(url):
        monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", url)
        settings.cache_clear()

    yield point
    settings.cache_clear()


def test_sessions_start_with_our_settings(spark):
    told = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": "4",
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    assert {key: spark.conf.get(key) for key in told} == told


@pytest.mark.parametrize("given", [";token=wrong", ""])
def test_a_wrong_token_is_refused_and_not_shown(connect_server, endpoint, given):
    endpoint(connect_server.partition(";")[0] + given)
    with pytest.raises(SparkUnavailable, match="refused the token") as told:
        connect("test")
    assert "wrong" not in str(told.value)


def test_the_token_is_in_no_file_and_no_command_line(tmp_path):
    from lakehouse.spark.server import connect_command

    argv, environment = connect_command(1, "s3cret-token", tmp_path)
    assert environment["SPARK_CONNECT_AUTHENTICATE_TOKEN"] == "s3cret-token"
    assert not any("s3cret-token" in word for word in argv)
    assert not any("s3cret-token" in p.read_text() for p in tmp_path.rglob("*") if p.is_file())


@pytest.mark.parametrize("small_data", [False, True])
def test_java_takes_the_options(tmp_path, small_data):
    from lakehouse.spark.java import java_home
    from lakehouse.spark.server import connect_command

    connect_command(1, "s3cret-token", tmp_path, driver_memory="512m", small_data=small_data)
    lines = (tmp_path / "conf" / "spark.properties").read_text().splitlines()
    (options,) = [line.partition(" ")[2] for line in lines if line.startswith("spark.driver.extraJavaOptions ")]
    shown = subprocess.run(
        [f"{java_home()}/bin/java", "-Xmx512m", *shlex.split(options), "-XX:+PrintFlagsFinal", "-version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.search(rf"UseSerialGC += {str(small_data).lower()} ", shown)
    if not small_data:
        assert re.search(rf"InitialHeapSize += {512 << 20} ", shown)
        assert re.search(r"G1HeapRegionSize += 16777216 ", shown)


def test_a_server_maps_its_classes_from_the_archive(connect_server):
    if not archive().is_file():
        pytest.skip("`make setup` could archive no classes with this Java")
    port = urlsplit(connect_server).port
    (pid,) = {c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port}
    assert str(archive()) in {mapped.path for mapped in psutil.Process(pid).memory_maps()}


def test_an_absent_server_is_told_at_once(endpoint):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint(f"sc://127.0.0.1:{closed.getsockname()[1]}/;token=s3cret")
        begun = time.monotonic()
        with pytest.raises(SparkUnavailable, match="sandbox up") as told:
            connect("test")
    assert time.monotonic() - begun < 5
    assert "s3cret" not in str(told.value)


def test_a_hung_server_is_told_within_seconds(endpoint):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint(f"sc://localhost:{silent.getsockname()[1]}/")
        begun = time.monotonic()
        with pytest.raises(SparkUnavailable, match="does not answer"):
            connect("test")
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("url", ["", "http://localhost:1", "localhost:15002"])
def test_no_endpoint_is_told(endpoint, url):
    endpoint(url)
    with pytest.raises(SparkUnavailable, match="LAKEHOUSE_SPARK_REMOTE"):
        connect("test")


def test_a_fenced_attempt_is_stopped_and_cannot_go_on(spark):
    name = session_id(str(uuid.uuid4()), "1")
    zombie = connect("attempt", name)
    ended = threading.Event()

    def work():
        try:
            zombie.sql("SELECT count(*) FROM range(1000000000000) WHERE sqrt(id) * sqrt(id + 1) > 3").collect()
        except Exception:
            ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(1)
    fence(name)
    assert ended.wait(60)
    thread.join()
    with pytest.raises(Exception, match="SESSION_CLOSED"):
        zombie.sql("SELECT 1").collect()
    fence(name)
    assert spark.sql("SELECT 1").collect()[0][0] == 1


def test_a_fenced_attempt_is_told_by_whom(spark):
    """The frozen worker wakes after its session was closed: its next statement says what happened."""
    name = session_id(str(uuid.uuid4()), "1")
    with pytest.raises(Fenced, match="another attempt of the same run took over"), connected("late", name) as late:
        fence(name)
        late.sql("SELECT 1").collect()


def test_a_session_that_never_was_is_fenced_by_one_request(spark, monkeypatch):
    """As after a restart of the server: nothing is opened only to be closed."""
    from pyspark.sql.connect.client import SparkConnectClient

    asked = []
    release = SparkConnectClient.release_session

    def counted(client):
        asked.append(client)
        release(client)

    monkeypatch.setattr(SparkConnectClient, "release_session", counted)
    monkeypatch.setattr(SparkConnectClient, "_analyze", lambda *_, **__: pytest.fail("a second request"))
    fence(session_id(str(uuid.uuid4()), "1"))
    assert len(asked) == 1


def test_a_fence_without_a_server_is_told(endpoint):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint(f"sc://127.0.0.1:{closed.getsockname()[1]}/;token=s3cret")
        with pytest.raises(SparkUnavailable, match="sandbox up"):
            fence(session_id(str(uuid.uuid4()), "1"))


def test_a_process_ends_though_it_left_sessions_open(connect_server):
    """Left to the interpreter's exit, pyspark closes a channel that then hangs the process."""
    code = "from lakehouse.spark import connect; kept = [connect('a'), connect('b')]"
    environment = {**os.environ, "LAKEHOUSE_SPARK_REMOTE": connect_server}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
