"""A feed: one source of one table, cut into slices that can be read one by one and read again.

Each kind of source is one module that makes a feed from a contract and an open client connection; `KINDS` says which.
A feed never opens a connection: Airflow tasks hand in a hook's, the command line one of `lakehouse.connections`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from lakehouse.contracts.model import Contract, Source
from lakehouse.ledger.windows import Window, chunks, with_lookback

if TYPE_CHECKING:
    import pyarrow as pa

#: Name of an Arrow column, text, in which a feed says why it could not read a row; the row is quarantined for it.
FAULT = "_fault"
#: Name of an Arrow column, text, with what a row at fault looked like, where it could not be cut into columns.
RAW = "_raw"


@dataclass(frozen=True)
class Slice:
    """What becomes one landing file. `name` orders it in its load.

    `spec` is JSON, all that its feed needs to read it.
    """

    name: str
    spec: dict[str, Any] = field(default_factory=dict)


class Feed(Protocol):
    """What a kind of source must be able to do."""

    def deliveries(self) -> Sequence[str]:
        """Names of what the source holds now and hands over whole, each once (a file: its key and ETag).

        Empty where the source is not `whole`. Old ones come before younger ones.
        """

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        """The slices of `windows` (the source's lookback not yet in them), or of `deliveries`, in order."""

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """Rows of `piece`, under the source's own column names, those that the contract does not know included.

        May carry the columns FAULT and RAW. Timestamps without zone are UTC.
        """


#: Module of each kind of source; each has a function feed(contract, source, connection) -> Feed.
KINDS = {
    "snowflake": "lakehouse.ingest.sql.feed",
    "redshift": "lakehouse.ingest.sql.feed",
    "files": "lakehouse.ingest.files",
    "salesforce": "lakehouse.ingest.salesforce",
    "http": "lakehouse.ingest.http",
    "kafka": "lakehouse.ingest.kafka",
}


def open_feed(contract: Contract, source: Source, connection: Any) -> Feed:
    """The feed of `contract`'s `source` over an open client `connection`."""
    made: Feed = import_module(KINDS[source.kind]).feed(contract, source, connection)
    return made


def window_slices(source: Source, windows: Sequence[Window]) -> list[Slice]:
    """Slices of a feed that is asked for windows: each of `windows`, the lookback below it included, in chunks."""
    return [
        Slice(f"{stamp(low)}-{stamp(high)}", {"low": low.isoformat(), "high": high.isoformat()})
        for window in with_lookback(windows, source.lookback)
        for low, high in chunks(window, source.chunk)
    ]


def span(piece: Slice) -> Window:
    """(low, high] of a slice of `window_slices`."""
    return Window(datetime.fromisoformat(piece.spec["low"]), datetime.fromisoformat(piece.spec["high"]))


def stamp(moment: datetime) -> str:
    """`moment` in UTC as names of slices have it."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")
