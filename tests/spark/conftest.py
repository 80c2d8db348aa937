"""One Spark Connect server for the whole session of tests, on a free port, ended as a process group."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Everything in this folder needs the server."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.spark)


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory):
    """The endpoint of a running server (sc://localhost:port/;token=...); it ends with the tests."""
    from lakehouse.spark.server import connect_command

    port = free_port()
    work = tmp_path_factory.mktemp("connect-server")
    argv, environment = connect_command(port, "test-token", work, master="local[2]", small_data=True)
    log = work / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(argv, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _await_port(server, port, log)
        yield f"sc://localhost:{port}/;token=test-token"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="session")
def connect_settings(connect_server):
    """This process's settings point at the server for as long as the tests run."""
    from lakehouse.config import settings

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_SPARK_REMOTE", connect_server)
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def shared_session(connect_settings):
    """The process's session, opened once."""
    from lakehouse.spark.session import session

    opened = session("tests")
    yield opened
    opened.stop()


@pytest.fixture
def spark(shared_session, connect_server, monkeypatch):
    """The session of the shared server, as product code opens it; a test that looks for it finds the server too."""
    from lakehouse.config import settings

    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", connect_server)
    settings.cache_clear()
    yield shared_session
    settings.cache_clear()


def free_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await_port(server, port, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"The Connect server did not come up:\n{log.read_text()[-3000:]}")
