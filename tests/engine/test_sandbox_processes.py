"""The supervisor: starts, health, and that nothing it started outlives `stop`."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lakehouse.sandbox import ports, processes
from lakehouse.sandbox.errors import PortTaken, ServiceFailed
from lakehouse.sandbox.processes import Service

NEVER = threading.Event()

#: A family as Airflow's is: a leader that ignores SIGTERM, a child in the same group, and one in a session of its own.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child])
subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
open("started", "w").close()
time.sleep(600)
"""

#: A leader that leaves a child behind and ends.
ORPHANING = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("started", "w").close()
"""


@pytest.fixture
def folder(tmp_path: Path):
    yield tmp_path
    processes.sweep(tmp_path)


def service(folder: Path, code: str, **changes) -> Service:
    made = Service(
        "fake", [sys.executable, "-c", code], dict(os.environ), None, lambda since: (folder / "started").exists()
    )
    return replace(made, **changes)


def marked(folder: Path) -> list[psutil.Process]:
    return processes._marked(folder)


def test_a_whole_family_is_ended_even_if_it_will_not_go(folder: Path):
    record = processes.start(service(folder, STUBBORN), folder)
    processes.await_ready(service(folder, STUBBORN), record, folder, NEVER)
    wait_until(lambda: len(marked(folder)) == 3)
    assert processes.alive(record)
    processes.stop([record], grace=0.3)
    assert not processes.alive(record)
    assert marked(folder) == []


def test_what_a_dead_leader_left_behind_is_ended(folder: Path):
    record = processes.start(service(folder, ORPHANING), folder)
    wait_until(lambda: not processes.alive(record) and len(marked(folder)) == 1)
    processes.stop([record], grace=1)
    assert marked(folder) == []


def test_sweep_finds_what_was_never_recorded(folder: Path):
    processes.start(service(folder, STUBBORN), folder)
    wait_until(lambda: len(marked(folder)) == 3)
    processes.sweep(folder)
    assert marked(folder) == []


def test_a_pid_that_was_given_to_somebody_else_is_left_alone(folder: Path):
    record = processes.start(service(folder, STUBBORN), folder)
    wait_until(lambda: len(marked(folder)) == 3)
    older = replace(record, created=record.created - 1000)
    assert not processes.alive(older)
    processes.stop([older], grace=0.1)
    assert processes.alive(record)


def test_a_service_that_ends_is_reported_with_its_log(folder: Path):
    broken = service(folder, "raise SystemExit('no licence for frobnicator')")
    record = processes.start(broken, folder)
    with pytest.raises(ServiceFailed) as caught:
        processes.await_ready(broken, record, folder, NEVER)
    assert "'fake' ended before it was ready" in caught.value.what
    assert "no licence for frobnicator" in caught.value.what
    assert str(processes.log_path(folder, "fake")) in caught.value.what


def test_a_service_that_is_late_is_reported(folder: Path):
    late = service(folder, "import time; time.sleep(600)", deadline=0.3)
    record = processes.start(late, folder)
    with pytest.raises(ServiceFailed, match=r"not ready within 0 s"):
        processes.await_ready(late, record, folder, NEVER)


def test_a_taken_port_is_named_with_its_owner(folder: Path):
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        code = f"import socket; socket.create_server(('127.0.0.1', {port}))"
        clash = service(folder, code, port=port)
        record = processes.start(clash, folder)
        with pytest.raises(ServiceFailed, match=rf"port {port} is taken by .*pid {os.getpid()}"):
            processes.await_ready(clash, record, folder, NEVER)


def test_the_identity_changes_with_the_settings_and_hides_them(folder: Path):
    one = service(folder, "", settings="token-1")
    assert one.identity == service(folder, "", settings="token-1").identity
    assert one.identity != service(folder, "", settings="token-2").identity
    assert "token-1" not in repr(one)


def test_the_log_of_the_start_before_is_kept(folder: Path):
    for text in ("first", "second"):
        record = processes.start(service(folder, f"print('{text}')"), folder)
        wait_until(lambda record=record: not processes.alive(record))
    log = processes.log_path(folder, "fake")
    assert log.read_text() == "second\n"
    assert log.with_suffix(".log.1").read_text() == "first\n"


def test_a_remembered_port_is_kept_while_it_is_free():
    port = ports.free_port()
    assert ports.choose("x", {"x": port}, []) == port
    with socket.create_server((ports.HOST, port)):
        assert ports.choose("x", {"x": port}, []) != port


def test_a_preferred_port_gives_way():
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.choose("ui", {}, [], preferred=port) != port
    assert ports.choose("ui", {}, [port], preferred=port) != port


def test_a_server_on_every_address_makes_a_port_taken():
    with socket.create_server(("0.0.0.0", 0)) as taken:
        assert not ports.is_free(taken.getsockname()[1])


def test_a_port_set_by_the_user_and_taken_is_an_error():
    with socket.create_server((ports.HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            ports.fixed("Airflow's UI", port, "LAKEHOUSE_UI_PORT")
    assert f"Port {port}" in caught.value.what
    assert f"pid {os.getpid()}" in caught.value.what
    assert "LAKEHOUSE_UI_PORT" in caught.value.remedy


def wait_until(holds, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.02)
