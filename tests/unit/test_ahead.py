"""Reading ahead: the same batches in the same order, errors where they belong, no more held than was agreed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lakehouse.ingest.ahead import BATCHES, reading_ahead
from lakehouse.ingest.feed import Slice


class Source:
    """Slices of numbered batches; notes what was fetched, and by how many at once."""

    def __init__(self, *sizes: int, broken: str = "") -> None:
        self.pieces = [Slice(str(number), {"size": size}) for number, size in enumerate(sizes)]
        self.broken, self.fetched, self.reading = broken, [], 0  # type: ignore[var-annotated]
        self.closed: list[str] = []

    def read(self, piece: Slice) -> Iterator[Any]:
        self.reading += 1
        assert self.reading == 1
        try:
            for number in range(piece.spec["size"]):
                self.fetched.append((piece.name, number))
                yield piece.name, number
            if piece.name == self.broken:
                raise OSError(piece.name)
        finally:
            self.reading -= 1
            self.closed.append(piece.name)


def test_batches_come_as_the_feed_has_them() -> None:
    feed = Source(3, 0, 5, 1)
    with reading_ahead(feed, feed.pieces) as read:  # type: ignore[arg-type]
        found = [list(read(piece)) for piece in feed.pieces]
    assert [len(batches) for batches in found] == [3, 0, 5, 1]
    assert [batch for batches in found for batch in batches] == feed.fetched


def test_an_error_is_raised_after_the_batches_before_it_and_the_next_slice_can_be_read() -> None:
    feed = Source(2, 2, 2, broken="1")
    seen = []
    with reading_ahead(feed, feed.pieces) as read:  # type: ignore[arg-type]
        seen += read(feed.pieces[0])
        with pytest.raises(OSError, match="1"):
            for batch in read(feed.pieces[1]):
                seen.append(batch)
        seen += read(feed.pieces[2])
    assert seen == feed.fetched
    assert len(seen) == 6


def test_no_more_is_held_than_agreed_and_leaving_early_ends_the_thread() -> None:
    feed = Source(100, 100)
    with pytest.raises(KeyError), reading_ahead(feed, feed.pieces) as read:  # type: ignore[arg-type]
        batches = read(feed.pieces[0])
        next(batches)
        raise KeyError
    # One given, some waiting, one in the reader's hand.
    assert 1 <= len(feed.fetched) <= BATCHES + 2
    assert feed.closed == ["0"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lakehouse-read")]
