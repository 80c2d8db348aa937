"""One attempt at a table in a process of its own, which dies or freezes at a kill point, or whose Spark server dies.

The processes are forked from a server that has imported everything and opened nothing, so each starts at once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil

from lakehouse.config import settings
from tests.integration.conftest import Lakehouse

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        __name__,
        "boto3",
        "deltalake",
        "duckdb",
        "great_expectations",
        "lakehouse.cli.main",
        "psycopg2",
        "pyspark.sql.connect.session",
        "snowflake.connector",
    ]
)
#: In the home of an attempt that counted: {step: its statements}.
STATEMENTS = "statements.json"


def warm_up() -> None:
    """Have the server import everything while others wait for something else."""
    forkserver.ensure_running()


def begin(
    table: str, start: str, end: str, point: str = "", *, freeze: bool = False, statement: str = "", pid: int = 0
) -> BaseProcess:
    """Run `table` for (start, end] as this process would.

    At `point` it is killed; with `freeze` it only stops there, until it gets SIGCONT. Once `statement` runs (a step
    and a number from 1, as "transform 2") the Spark server `pid` is killed; where there is no such statement, the
    attempt leaves the numbers of those there were in STATEMENTS.
    """
    environ = {**os.environ, "LAKEHOUSE_KILL_POINT": point}
    process = _CONTEXT.Process(target=_attempt, args=(environ, table, start, end, freeze, statement, pid))
    process.start()
    return process


def begin_command(
    words: Sequence[str], said: Path, point: str = "", *, table: str = "", statement: str = "", pid: int = 0
) -> BaseProcess:
    """Have `lakehouse` do `words`, what it says going to the file `said`; at `point` it is killed.

    With `statement` of `table` the Spark server `pid` is, as in `begin`.
    """
    environ = {**os.environ, "LAKEHOUSE_KILL_POINT": point}
    process = _CONTEXT.Process(target=_command, args=(environ, list(words), said, table, statement, pid))
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


def _attempt(
    environ: Mapping[str, str], table: str, start: str, end: str, freeze: bool, statement: str, pid: int
) -> None:
    _become(environ)
    if freeze:
        kill = os.kill
        os.kill = lambda pid, number: kill(pid, signal.SIGSTOP if number == signal.SIGKILL else number)
    seen = _watch(table, statement, pid) if statement else None
    Lakehouse(settings().tables).run(table, start, end)
    if seen is not None:
        Path(settings().home, STATEMENTS).write_text(json.dumps(seen))


def _watch(table: str, statement: str, pid: int) -> Counter[str]:
    """Count the statements of each step from here on; while the one that is meant runs, the server dies."""
    from pyspark.sql.connect.client import reattach
    from pyspark.sql.connect.proto import base_pb2 as pb2

    seen: Counter[str] = Counter()
    stream = reattach.ExecutePlanResponseReattachableIterator
    send = stream.__init__
    states = pb2.GetStatusResponse.OperationStatus

    def state_of(request: Any, stub: Any, metadata: Any) -> int:
        asked = pb2.GetStatusRequest(session_id=request.session_id, user_context=request.user_context)
        asked.operation_status.operation_ids.append(request.operation_id)
        (told,) = stub.GetStatus(asked, metadata=metadata).operation_statuses
        return int(told.state)

    def sent(self: Any, request: Any, stub: Any, retrying: Any, metadata: Any) -> None:
        send(self, request, stub, retrying, metadata)
        step = next((tag for tag in request.tags if tag.startswith(f"{table}_")), "").removeprefix(f"{table}_")
        seen[step] += 1
        if f"{step} {seen[step]}" == statement:
            # As soon as it is there: most are caught at work, the shortest before anybody has read their answer.
            while state_of(request, stub, metadata) == states.OPERATION_STATE_UNKNOWN:
                pass
            os.kill(pid, signal.SIGKILL)

    stream.__init__ = sent  # type: ignore[method-assign]
    return seen


def _command(environ: Mapping[str, str], words: list[str], said: Path, table: str, statement: str, pid: int) -> None:
    from lakehouse.cli.main import main

    _become(environ)
    if statement:
        _watch(table, statement, pid)
    with said.open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.argv = ["lakehouse", *words]
    main()


def _statement(environ: Mapping[str, str], session: str, sql: str) -> None:
    from lakehouse.spark import connect

    _become(environ)
    connect("zombie", session).sql(sql).collect()


def _become(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    settings.cache_clear()
