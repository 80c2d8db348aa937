"""A Spark Connect server for the time of a `with`: for tests and benchmarks that bring their own.

Not for the sandbox, whose services outlive the process that starts them (see `lakehouse.sandbox.stack`).
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse import aws
from lakehouse.spark.server import connect_command
from lakehouse.spark.session import SparkUnavailable


@contextmanager
def served(
    work: Path,
    *,
    master: str = "local[2]",
    driver_memory: str = "3g",
    small_data: bool = False,
    conf: dict[str, str] | None = None,
    access: aws.Access | None = None,
    java: str = "",
    deadline: float = 120.0,
    grace: float = 0.0,
) -> Iterator[str]:
    """The endpoint (sc://localhost:port/;token=...) of a server of one's own, whose files live in `work`.

    It listens on a free port of 127.0.0.1 with a token of its own and ends, as a process group, with the block; it has
    `grace` seconds to do so by itself.
    Raises SparkUnavailable, with the end of its log, where it does not come up within `deadline` seconds.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_urlsafe(24)
    argv, environment = connect_command(
        port,
        token,
        work,
        master=master,
        driver_memory=driver_memory,
        small_data=small_data,
        conf=conf,
        access=access,
        java=java,
    )
    log = work / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(argv, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        _await_port(server, port, log, deadline)
        yield f"sc://localhost:{port}/;token={token}"
        if grace:
            server.terminate()
            server.wait(grace)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _await_port(server: subprocess.Popen[bytes], port: int, log: Path, deadline: float) -> None:
    until = time.monotonic() + deadline
    while server.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    tail = log.read_text(errors="replace")[-2000:]
    raise SparkUnavailable(f"The Connect server did not come up:\n{tail}", f"Read {log} for the cause.")
