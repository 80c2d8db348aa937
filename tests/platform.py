"""A home of its own for tests that need the stand-ins: up for as long as they run, this process pointed at them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from lakehouse.config import settings
from lakehouse.sandbox import envfile, stack
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.state import Record, StateFile


@contextmanager
def platform_at(home: Path, *, airflow: bool, dags: Path | None = None) -> Iterator[str]:
    """The sandbox of `home`, brought up and taken down; gives the UI's address, "" without Airflow.

    LAKEHOUSE_HOME and LAKEHOUSE_SPARK_REMOTE lead there meanwhile. Afterwards the environment is as it was.
    """
    before = dict(os.environ)
    os.environ["LAKEHOUSE_HOME"] = str(home)
    os.environ.pop("LAKEHOUSE_SPARK_REMOTE", None)
    settings.cache_clear()
    try:
        url = stack.up(airflow, lambda name, what: None, dags=dags) or ""
        os.environ["LAKEHOUSE_SPARK_REMOTE"] = envfile.read(envfile.path(home))["LAKEHOUSE_SPARK_REMOTE"]
        settings.cache_clear()
        yield url
    finally:
        os.environ["LAKEHOUSE_HOME"] = str(home)
        settings.cache_clear()
        stack.down(lambda name, what: None)
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


def service(home: Path, name: str) -> Record:
    """A service of the sandbox of `home`, as it was started."""
    return StateFile(Layout(home).sandbox).load().services[name]


def kill(home: Path, name: str) -> None:
    """SIGKILL a service, and return when it has ended: until then it still answers, and would be taken for healthy."""
    process = psutil.Process(service(home, name).pid)
    process.kill()
    process.wait(60)


def bring_back(home: Path, *, stream: bool = False) -> None:
    """Start again what was killed of the sandbox of `home`, with `stream` Kafka too; ports and tokens stay."""
    before = os.environ["LAKEHOUSE_HOME"]
    os.environ["LAKEHOUSE_HOME"] = str(home)
    settings.cache_clear()
    try:
        stack.up(False, lambda name, what: None, stream=stream)
    finally:
        os.environ["LAKEHOUSE_HOME"] = before
        settings.cache_clear()
