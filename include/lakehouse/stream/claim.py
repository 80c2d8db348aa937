"""One at a time at a stream: an attempt that comes later takes over, whatever the ones before it are still doing.

An attempt opens its session, writes itself into the position, and closes the sessions of those that stand there: what
runs in them ends, and what they send from then on is refused. So one that was frozen anywhere can do nothing when it
wakes: its session was there to be closed, and the next position is not its to write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from lakehouse import paths
from lakehouse.killpoints import reach
from lakehouse.stream import position as positions
from lakehouse.stream.position import Position

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Claim:
    """An attempt's hold on the stream of `table`. Its session is `spark`."""

    def __init__(self, table: str, spark: SparkSession, attempt: str, position: Position) -> None:
        """See `claimed`."""
        self.table, self.spark, self.attempt, self.position = table, spark, attempt, position
        self.folder = paths.stream(table)

    def write(self, position: Position) -> None:
        """Put `position` in force. Raises Fenced where somebody came later."""
        written = positions.write(self.folder, self.position, replace(position, attempts=(self.attempt,)))
        if written is None:
            raise _taken(self.table)
        self.position = written

    def check(self) -> None:
        """Raise Fenced where a later attempt took over."""
        if self.attempt not in positions.read(self.folder).attempts:
            raise _taken(self.table)


@contextmanager
def claimed(table: str, job: str) -> Iterator[Claim]:
    """Hold the stream of `table` for the time of a `with`; everybody before is out. Raises what `connected` raises."""
    from lakehouse.spark import connected, fence, session_id

    attempt, folder = uuid4().hex, paths.stream(table)
    with connected(f"{table} {job}", session_id(table, attempt)) as spark:
        reach("stream.opened")
        while True:
            before = positions.read(folder)
            mine = positions.write(folder, before, replace(before, attempts=(*before.attempts, attempt)))
            if mine is not None:
                break
        reach("stream.claimed")
        for other in before.attempts:
            fence(session_id(table, other))
        yield Claim(table, spark, attempt, mine)


def _taken(table: str) -> Exception:
    from lakehouse.spark.session import Fenced

    return Fenced(
        f"{table}: another attempt came later and took over its stream.",
        "Nothing is to be done here: see how the later attempt ended.",
    )
