"""A test that ran into its limit tells what its server was doing, and ends it: no other test waits for it."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Generator
from pathlib import Path
from threading import Timer
from typing import Any

import psutil
import pytest
from pytest_timeout import PYTEST_FAILURE_MESSAGE

#: What pytest-timeout fails a test with, up to the seconds.
TIMED_OUT = PYTEST_FAILURE_MESSAGE.partition("%")[0]
#: The last line of the JVM's answer to SIGQUIT, and how long it may take to come, in seconds.
LAST_LINE, PATIENCE = "JNI global refs", 15.0
#: Frames of a thread that are shown: a hang is told by where it waits.
FRAMES = 16
#: What a thread does that has nothing to do.
IDLE = re.compile(r"\.(LinkedBlocking(Queue|Deque)|ReferenceQueue|DelayedWorkQueue|SynchronousQueue)\.\w+\(")


TIMER, TOLD = pytest.StashKey[Timer](), pytest.StashKey[dict[int, str]]()


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, Any, Any]:
    """Shortly before the limit, for the client that gives up interrupts what it waits for."""
    item.stash[TOLD] = {}
    item.stash[TIMER] = Timer(settings.timeout * 0.95, look, [item.stash[TOLD]])
    item.stash[TIMER].start()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> Generator[None, Any, Any]:
    # Asked of every test that fails, those without a limit too.
    if timer := item.stash.get(TIMER, None):
        timer.cancel()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.excinfo is not None and str(call.excinfo.value).startswith(TIMED_OUT):
        report.sections += [(f"Threads of the Spark server {pid}", told) for pid, told in item.stash[TOLD].items()]
        for server in servers():
            server.kill()
    return report


def servers() -> list[psutil.Process]:
    """The Spark servers that this process started."""
    return [child for child in psutil.Process().children(recursive=True) if child.name() == "java"]


def look(told: dict[int, str]) -> None:
    """Note what every server does."""
    for server in servers():
        told[server.pid] = threads(server)


def threads(server: psutil.Process) -> str:
    """What the JVM's threads do that Spark or Delta are in, each stack once; from where its output goes."""
    log = Path(f"/proc/{server.pid}/fd/1").resolve()
    start = log.stat().st_size
    server.send_signal(signal.SIGQUIT)
    told, until = "", time.monotonic() + PATIENCE
    while LAST_LINE not in told and time.monotonic() < until:
        time.sleep(0.2)
        with log.open(errors="replace") as lines:
            lines.seek(start)
            told = lines.read()
    stacks: dict[str, str] = {}
    for block in told.split("\n\n"):
        name, _, stack = block.strip().partition("\n")
        busy = re.search(r"at (org\.apache\.spark|io\.delta)\.", stack) and not IDLE.search(stack)
        if busy or "Java-level deadlock" in block:
            stacks.setdefault("\n".join(stack.splitlines()[1 : FRAMES + 1]), name.split(" daemon")[0])
    return "\n\n".join(f"{name}\n{stack}" for stack, name in stacks.items()) or told[-4000:] or "It did not answer."
