"""Opens sessions: on the Spark Connect server, or, in a driver that spark-submit started, in that driver itself.

One a process, or one of its own for an attempt at a batch; whoever computes on it does not know which kind it is.
Not for starting a server (see `lakehouse.spark.server`). A server that is absent or hangs is told within 10 seconds.
"""

from __future__ import annotations

import atexit
import os
import socket
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import UUID, uuid5

from lakehouse.config import settings
from lakehouse.errors import LakehouseError
from lakehouse.spark import driver
from lakehouse.spark.skew import SKEW

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: All our sessions belong to one user: a session is known to the server by (user, id), and another process must be able
#: to name it.
USER = "lakehouse"

#: What statements mean, on whosever server they run: times are UTC, and what overflows is an error (MOD-4).
MEANING = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}

#: Seconds: an open port, then a server that speaks.
PORT_TIMEOUT, SPEAK_TIMEOUT = 3.0, 6.0

_REMEDY = "Start it with `lakehouse sandbox up`, or check the endpoint in LAKEHOUSE_SPARK_REMOTE (sc://host:port/)."

#: What the server says to a client whose session another one closed.
_FENCED = ("SESSION_CLOSED", "OPERATION_CANCELED")
#: What a client hears when the server ended under it: from gRPC, or from the server that came in its place.
_GONE = (
    *("StatusCode.UNAVAILABLE", "NO_ACTIVE_SESSION"),
    *("SESSION_CHANGED", "SESSION_NOT_FOUND", "OPERATION_NOT_FOUND"),
)
_NAMESPACE = UUID("5b0d6d0e-2f4b-4c57-9d0a-6c1f2d7f0b51")

#: This process's session and the process that opened it: a forked child must not use its parent's channel.
_current: tuple[int, SparkSession] | None = None

#: Every session of this process that is still referenced, with the process that opened it.
_open: weakref.WeakKeyDictionary[SparkSession, int] = weakref.WeakKeyDictionary()


class SparkUnavailable(LakehouseError):
    """No Spark Connect server answers at the endpoint, or it refuses us."""


class Fenced(LakehouseError):
    """This attempt's session was closed by a later one: whatever it was doing is over."""


def session_id(batch_id: str, attempt: str) -> str:
    """The session id (a uuid) of one attempt at one batch: every process can name the session of every other."""
    return str(uuid5(_NAMESPACE, f"{batch_id}/{attempt}"))


def connect(job: str, session_id: str | None = None, endpoint: str = "") -> SparkSession:
    """A new session on the configured server, its statements tagged `job`; under `session_id` (a uuid) if given.

    `endpoint` is another server than the configured one.

    In a submitted driver it is one of the driver's, whatever server is configured, and nobody else can name it.
    Raises SparkUnavailable within about 10 seconds where no server answers, and at once where the token is refused.
    """
    spark = driver.new_session() if driver.submitted() else _remote(session_id, endpoint)
    for name, value in {**MEANING, **SKEW}.items():
        spark.conf.set(name, value)
    spark.addTag("".join(c if c.isalnum() or c in "._-" else "_" for c in job))
    return spark


def _remote(session_id: str | None, endpoint: str) -> SparkSession:
    url = _url(session_id, endpoint)
    _probe(url)
    shown = _shown(url)
    from pyspark.errors.exceptions.connect import SparkConnectException
    from pyspark.sql import SparkSession

    from lakehouse.spark.patience import patience

    spark: SparkSession = SparkSession.builder.remote(url).create()
    spark.client.set_retry_policies([patience()])
    try:
        # The first call that needs an answer: opening a session alone does not ask for the token.
        _ = spark.version
    except SparkConnectException as error:
        spark.client.close()
        if "UNAUTHENTICATED" in str(error):
            raise SparkUnavailable(
                f"The Spark Connect server at {shown} refused the token.",
                "Give its token in LAKEHOUSE_SPARK_REMOTE (sc://host:port/;token=...); every sandbox has its own.",
            ) from None
        raise SparkUnavailable(
            f"The Spark Connect server at {_shown(url)} opened no session: {error}", _REMEDY
        ) from error
    _open[spark] = os.getpid()
    return spark


@contextmanager
def connected(job: str, session_id: str | None = None, endpoint: str = "") -> Iterator[SparkSession]:
    """A session for the time of a `with`: a server keeps what clients forget.

    Raises what `connect` raises, SparkUnavailable where the server ends meanwhile, and Fenced where a later attempt
    closed the session.
    """
    if driver.submitted():
        # Stopping it would stop the context that the job's other sessions share.
        spark = connect(job)
        try:
            yield spark
        finally:
            spark.clearTags()
        return
    from pyspark.errors.exceptions.connect import SparkConnectException

    spark = connect(job, session_id, endpoint)
    try:
        yield spark
    except SparkConnectException as error:
        if gone(error):
            where = _shown(_url(None, endpoint))
            raise SparkUnavailable(
                f"{job}: the Spark Connect server at {where} ended meanwhile, and this session with it.",
                "See in its log why. When it is back, clear the task or type the command again: it goes on from there.",
            ) from error
        if not any(told in str(error) for told in _FENCED):
            raise
        raise Fenced(
            f"{job}: another attempt of the same run took over and closed this one's Spark session.",
            "Nothing is to be done here: see how the later attempt ended.",
        ) from error
    finally:
        _release(spark)


def gone(error: Exception) -> bool:
    """Whether an error of Spark's says that the server, and the session with it, is no more: no statement's fault."""
    return any(told in str(error) for told in _GONE)


def session(job: str = "lakehouse") -> SparkSession:
    """This process's session, opened at the first call and reused until it is stopped. Raises SparkUnavailable."""
    global _current
    stopped = _current is not None and not driver.submitted() and _current[1].is_stopped
    if _current is None or _current[0] != os.getpid() or stopped:
        _current = (os.getpid(), connect(job))
    return _current[1]


def interrupt(spark: SparkSession) -> None:
    """End every statement that runs in this session; the session stays usable."""
    spark.interruptAll()


def fence(session_id: str) -> None:
    """End whatever another process runs under `session_id`, and close that session for good.

    A killed client does not stop its statement on the server, and a frozen one may wake and send the next: a closed id
    is refused from then on. One request, which is answered at once where no such session is open: it ended, or the
    server restarted since. Raises SparkUnavailable.

    In a submitted driver there is no server to ask: whoever submits a job ends the earlier attempt's first, and one
    that goes on nevertheless writes into its own branch, which nobody publishes.
    """
    if driver.submitted():
        return
    url = _url(session_id)
    _probe(url)
    from pyspark.errors.exceptions.connect import SparkConnectException
    from pyspark.sql.connect.client import SparkConnectClient
    from pyspark.sql.connect.client.retries import DefaultPolicy

    client = SparkConnectClient(url)
    client.set_retry_policies([DefaultPolicy(max_retries=3)])
    try:
        # Releasing a session interrupts its statements, and the server remembers its id as closed.
        client.release_session()
    except SparkConnectException as error:
        raise SparkUnavailable(
            f"The Spark Connect server at {_shown(url)} closed no session: {error}", _REMEDY
        ) from error
    finally:
        client.close()


@atexit.register
def _stop_all() -> None:
    """Release what is still open: left to the garbage collector at exit, closing a channel hangs the process."""
    for spark in [opened for opened, pid in _open.items() if pid == os.getpid() and not opened.is_stopped]:
        _release(spark)


def _release(spark: SparkSession) -> None:
    """End a session. The server may be gone by now: nobody waits for it at the end of a step."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    spark.client.set_retry_policies([DefaultPolicy(max_retries=0)])
    spark.stop()


def _url(session_id: str | None, endpoint: str = "") -> str:
    """The endpoint, the configured one by default, with our user and the session's id in it."""
    url = endpoint or settings().spark_remote
    parts = urlsplit(url)
    if parts.scheme != "sc" or not parts.hostname:
        told = "is not set" if not url else f"is not a Connect endpoint: {_shown(url)}"
        raise SparkUnavailable(f"The Spark Connect endpoint {told}.", _REMEDY)
    parameters = [p for p in parts.path.lstrip("/").split(";") if p]
    parameters.append(f"user_id={USER}")
    if session_id is not None:
        parameters.append(f"session_id={UUID(session_id)}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    # The client sends a token without TLS only to a host spelled "localhost".
    host = "localhost" if host == "127.0.0.1" else host
    return f"sc://{host}:{parts.port or 15002}/;{';'.join(parameters)}"


def _probe(url: str) -> None:
    """Raise SparkUnavailable unless a gRPC server speaks at the endpoint; pyspark itself would retry for minutes."""
    parts = urlsplit(url)
    try:
        socket.create_connection((str(parts.hostname), int(parts.port or 0)), PORT_TIMEOUT).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SparkUnavailable(f"No Spark Connect server at {_shown(url)}: {reason}.", _REMEDY) from error
    import grpc  # type: ignore[import-untyped]
    from pyspark.sql.connect.client import DefaultChannelBuilder

    channel = DefaultChannelBuilder(url).toChannel()
    try:
        grpc.channel_ready_future(channel).result(timeout=SPEAK_TIMEOUT)
    except grpc.FutureTimeoutError:
        raise SparkUnavailable(f"{_shown(url)} accepts connections but does not answer.", _REMEDY) from None
    finally:
        channel.close()


def _shown(url: str) -> str:
    """The endpoint without its parameters: one of them is the token."""
    return url.partition(";")[0].rstrip("/")
