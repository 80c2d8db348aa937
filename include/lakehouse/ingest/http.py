"""Feeds of JSON over HTTP, asked for windows of their cursor: hourly series such as exchange rates.

`object` of the source is the path below the connection's address; `options` say what the parameters are called and
where the records are (see `lakehouse.contracts.source`). The source may hand over more than the window: what is known
is not loaded twice. One slice is held in memory: the source's `chunk` bounds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from lakehouse.clock import in_utc
from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.ingest.feed import Slice, span, window_slices
from lakehouse.ingest.web import BUSY, EXACT, Busy, SourceRefused, patiently, text_batch, utc
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

#: Minutes between the rows of a series, unless its contract says otherwise.
HOURLY = 60
#: How many gaps an error names.
SHOWN = 5


class SeriesGap(LakehouseError):
    """A series that must have a row at every step has none at some (ING-7)."""


def feed(contract: Contract, source: Source, connection: Any) -> HttpFeed:
    """The feed of a resource behind `connection`, an open httpx client."""
    return HttpFeed(contract, source, connection)


class HttpFeed:
    """A list of JSON records behind a path."""

    def __init__(self, contract: Contract, source: Source, client: httpx.Client) -> None:
        """`client` carries address, credentials and timeout."""
        self.contract, self.source, self.client = contract, source, client
        self.title = f"{contract.name}: {source.connection} {source.object}"

    def deliveries(self) -> Sequence[str]:
        """None: it is asked for windows."""
        return ()

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        """Each window, the lookback below it included, in chunks."""
        return window_slices(self.source, windows)

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """The records of one chunk, all pages, as text (see `lakehouse.ingest.web`).

        Raises SourceUnavailable, SourceRefused, or SeriesGap where missingIsError and a step has no row.
        """
        window = span(piece)
        records = [record for page in self._pages(window) for record in page]
        if self.source.missing_is_error:
            self._refuse_gaps(records, window)
        if records:
            names = {name: None for record in records if isinstance(record, dict) for name in record}
            yield text_batch(records, names or [c.source_name for c in self.contract.columns])

    def _pages(self, window: Window) -> Iterator[list[Any]]:
        options = self.source.options
        bounds = {options["low"]: utc(window.low), options["high"]: utc(window.high)}
        url, params, number = self.source.object, {**options.get("params", {}), **bounds}, 1
        followed = set()
        while True:
            if "page" in options:
                params[options["page"]] = str(number)
            answer = self._ask(url, params)
            records = _at(answer, options.get("records", ""))
            if not isinstance(records, list):
                raise self._refused(f"has no list of records at '{options.get('records', '')}'")
            yield records
            more = _at(answer, options["next"]) if "next" in options else None
            if "page" in options:
                number += 1
                if not records:
                    return
            elif not more:
                return
            elif more in followed:
                raise self._refused("leads to the same page again")
            elif "token" in options:
                params[options["token"]] = str(more)
            else:
                # The address of the next page holds its parameters. The client takes no key to another host.
                url, params = str(more), {}
            followed.add(more)

    def _ask(self, url: str, params: Mapping[str, Any]) -> Any:
        def once() -> httpx.Response:
            response = self.client.get(url, params=params or None)
            if response.status_code in BUSY:
                raise Busy(f"HTTP {response.status_code}", response.headers.get("Retry-After"))
            return response

        response = patiently(once, self.title, (httpx.TransportError,))
        if response.status_code in (401, 403):
            raise SourceRefused(
                f"{self.title} refused our credentials (HTTP {response.status_code}).",
                f"Renew the password of the Airflow connection {self.source.connection}.",
            )
        if response.status_code == httpx.codes.NO_CONTENT:
            return {}
        if response.status_code != httpx.codes.OK:
            raise self._refused(f"is HTTP {response.status_code}")
        try:
            return json.loads(response.content, **EXACT)
        except (ValueError, RecursionError):
            pass
        raise self._refused("is no JSON")

    def _refused(self, what: str) -> SourceRefused:
        return SourceRefused(
            f"{self.title}: the answer {what}.",
            f"Compare `object` and `options` in {self.contract.path} with what the source documents.",
        )

    def _refuse_gaps(self, records: Sequence[Any], window: Window) -> None:
        """Raise SeriesGap where a series (the key without the cursor) that has rows here lacks some, or none has any.

        Steps count from midnight, UTC; those before the source's initial value are not missed.
        """
        cursor = self.contract.column(self.source.cursor).source_name
        keys = [self.contract.column(key).source_name for key in self.contract.primary_key if key != self.source.cursor]
        seen: dict[tuple[str, ...], set[datetime]] = {}
        for record in records:
            if isinstance(record, dict) and (at := _moment(record.get(cursor))):
                seen.setdefault(tuple(str(record.get(key)) for key in keys), set()).add(at)
        steps = _steps(Window(max(window.low, self.source.initial_value), window.high), self._step)
        gaps = [(series, at) for series in sorted(seen) for at in steps if at not in seen[series]]
        gaps = gaps if seen else [((), at) for at in steps]
        if gaps:
            named = "; ".join(" ".join([*series, utc(at)]) for series, at in gaps[:SHOWN])
            raise SeriesGap(
                f"{self.title}: {len(gaps)} steps have no row ({named}{', ...' if len(gaps) > SHOWN else ''}).",
                "Ask the source for them and clear the task; set source.missingIsError to false if gaps are normal.",
            )

    @property
    def _step(self) -> timedelta:
        return timedelta(minutes=self.source.options.get("stepMinutes", HOURLY))


def _at(answer: Any, path: str) -> Any:
    """What is at `path`, names with dots between them, in `answer`; None where there is nothing."""
    for name in filter(None, path.split(".")):
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer


def _moment(value: Any) -> datetime | None:
    try:
        return in_utc(str(value))
    except (ValueError, OverflowError):
        return None


def _steps(window: Window, step: timedelta) -> list[datetime]:
    """Multiples of `step` in (low, high]."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first, last = (window.low - epoch) // step + 1, (window.high - epoch) // step
    return [epoch + number * step for number in range(first, last + 1)]
