"""One attempt at a table in a process of its own, which dies or freezes at a kill point.

The processes are forked from a server that has imported everything and opened nothing, so each starts at once.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess

import psutil

from lakehouse.config import settings
from tests.integration.conftest import Lakehouse

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [__name__, "great_expectations", "pyspark.sql.connect.session", "snowflake.connector", "deltalake", "duckdb"]
)


def warm_up() -> None:
    """Have the server import everything while others wait for something else."""
    forkserver.ensure_running()


def begin(table: str, start: str, end: str, point: str, *, freeze: bool = False, pid: int = 0) -> BaseProcess:
    """Run `table` for (start, end] as this process would; at `point` it is killed, or the process `pid` in its place.

    With `freeze` it only stops there, until it gets SIGCONT.
    """
    environ = {**os.environ, "LAKEHOUSE_KILL_POINT": point, "LAKEHOUSE_KILL_PID": str(pid or "")}
    process = _CONTEXT.Process(target=_attempt, args=(environ, table, start, end, freeze))
    process.start()
    return process


def begin_statement(session: str, sql: str) -> BaseProcess:
    """Run `sql` under the session of another attempt, as that one would."""
    process = _CONTEXT.Process(target=_statement, args=(dict(os.environ), session, sql))
    process.start()
    return process


def end_of(process: BaseProcess) -> int | None:
    """How it ended: the number of a signal, negative, or its exit code."""
    process.join(180)
    return process.exitcode


def await_frozen(process: BaseProcess) -> None:
    """Return when the process has stopped at its point. Fails when it ends instead."""
    watched = psutil.Process(process.pid)
    while watched.status() != psutil.STATUS_STOPPED:
        assert process.is_alive(), "the point was not reached"
        time.sleep(0.02)


def _attempt(environ: Mapping[str, str], table: str, start: str, end: str, freeze: bool) -> None:
    _become(environ)
    if freeze:
        kill = os.kill
        os.kill = lambda pid, number: kill(pid, signal.SIGSTOP if number == signal.SIGKILL else number)
    Lakehouse(settings().tables).run(table, start, end)


def _statement(environ: Mapping[str, str], session: str, sql: str) -> None:
    from lakehouse.spark import connect

    _become(environ)
    connect("zombie", session).sql(sql).collect()


def _become(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    settings.cache_clear()
