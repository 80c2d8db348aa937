"""Slices read ahead: while one is written, a thread has the source at work on what comes next.

One thread, so that a connection is used by one query at a time and slices come in order; few batches, so that memory
stays bounded (ING-9).
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lakehouse.ingest.feed import Feed, Slice

if TYPE_CHECKING:
    import pyarrow as pa

#: Batches that wait to be written, of each of two slices.
BATCHES = 2
#: Seconds after which a reader that waits for room looks whether anybody still wants its batches.
PATIENCE = 0.2

_END = object()


class _Reading:
    """One slice: its batches, then its end or what went wrong."""

    def __init__(self, read: Callable[[], Iterator[pa.RecordBatch]], ended: threading.Event) -> None:
        self.read, self.ended = read, ended
        self.waiting: queue.Queue[Any] = queue.Queue(BATCHES)

    def pump(self) -> None:
        """In the thread: fetch until the end, an error, or nobody wants any more."""
        if self.ended.is_set():
            return
        try:
            for batch in self.read():
                if not self._put(batch):
                    return
            self._put(_END)
        except BaseException as error:
            self._put(error)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """In the caller's: what was fetched. Raises what the source raised."""
        while (item := self.waiting.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _put(self, item: Any) -> bool:
        while not self.ended.is_set():
            try:
                self.waiting.put(item, timeout=PATIENCE)
            except queue.Full:
                continue
            return True
        return False


@contextmanager
def reading_ahead(feed: Feed, pieces: Sequence[Slice]) -> Iterator[Callable[[Slice], Iterator[pa.RecordBatch]]]:
    """A function like `feed.read` for `pieces`, to be asked for them in order, each to its end or its error."""
    ended = threading.Event()
    following = iter(pieces)
    begun: dict[str, _Reading] = {}
    with ThreadPoolExecutor(1, thread_name_prefix="lakehouse-read") as pool:

        def begin() -> None:
            piece = next(following, None)
            if piece is not None:
                begun[piece.name] = reading = _Reading(lambda: feed.read(piece), ended)
                pool.submit(contextvars.copy_context().run, reading.pump)

        def read(piece: Slice) -> Iterator[pa.RecordBatch]:
            begin()
            return begun.pop(piece.name).batches()

        try:
            begin()
            yield read
        finally:
            ended.set()
