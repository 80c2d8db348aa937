"""The HTTP feed by its real client: against the rates stand-in, and against answers no API should give."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.clock import now
from lakehouse.connections import Connection, ConnectionMalformed, open_client
from lakehouse.ingest import web as patience
from lakehouse.ingest.feed import FAULT, RAW, open_feed
from lakehouse.ingest.http import SeriesGap
from lakehouse.ingest.web import EXACT, SourceRefused, SourceUnavailable, text_batch
from lakehouse.ledger.windows import Window
from lakehouse.sandbox.shop.model import Row
from tests.integration.web import KEY, START, Web, bronze, served

RATES = "fx_rates"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OPTIONS = {"params": {"base": "EUR"}, "low": "after", "high": "until", "records": "data.rates"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with served(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
def web(server: Web) -> Web:
    server.faults.wish({})
    server.fill(RATES, [rate(h, c) for h in range(1, 25) for c in ("USD", "GBP")])
    return server


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made, in seconds."""
    made: list[float] = []
    monkeypatch.setattr(patience, "sleep", made.append)
    return made


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not [record for record in caplog.records if KEY in record.getMessage()]


def rate(hour: int, currency: str = "USD", value: str = "1.172345") -> Row:
    at = (START + hour * HOUR).replace(tzinfo=None)
    return {"base": "EUR", "currency": currency, "rate_ts": at, "rate": Decimal(value), "published_at": at}


def hushed(error: BaseException) -> str:
    """What a log would show of `error`, which holds no secret."""
    text = "".join(traceback.format_exception(error)) + repr(error)
    assert KEY not in text
    return str(error)


@given(hours=st.sets(st.integers(-2, 8)), size=st.integers(1, 5), cut=st.integers(0, 6))
def test_every_rate_comes_once_whatever_the_pages(server: Web, hours: set[int], size: int, cut: int) -> None:
    server.faults.wish({"page_size": size})
    server.fill(RATES, [rate(h, c) for h in hours for c in ("USD", "GBP")])
    border = START + cut * HOUR
    found = [server.read(RATES, START, border), server.read(RATES, border, START + 6 * HOUR)]
    assert [len(rows) for rows in found] == [2 * sum(0 < h <= cut for h in hours), 2 * sum(cut < h <= 6 for h in hours)]
    assert len({(row["currency"], row["rate_ts"]) for rows in found for row in rows}) == sum(map(len, found))


def test_a_rate_keeps_its_digits(web: Web) -> None:
    web.fill(RATES, [rate(1, value="1.172345")])
    (row,) = web.read(RATES, START, START + DAY)
    at = "2025-10-01T01:00:00.000Z"
    assert row == {"base": "EUR", "currency": "USD", "rate_ts": at, "rate": "1.172345", "published_at": at}


@pytest.mark.parametrize("extra", [{"key_header": "X-API-Key"}, {"key_parameter": "apikey"}])
def test_the_key_goes_in_a_header_or_a_parameter(web: Web, extra: dict[str, str]) -> None:
    connection = web.fx_connection(**extra)
    web.faults.wish({"page_size": 7})
    assert len(web.read(RATES, START, START + DAY, connection)) == 48
    web.faults.wish({"turn_away": 100})
    with pytest.raises(SourceUnavailable, match=r"bronze.fx_rates: fx_api /fx/v1/rates .*HTTP 503") as caught:
        web.read(RATES, START, START + DAY, connection)
    hushed(caught.value)


def test_a_refused_key_is_a_named_error_and_tried_once(web: Web, waits: list[float]) -> None:
    stranger = Connection(
        "fx_api", "http", "127.0.0.1", web.port, password="no", schema="http", extra={"key_header": "X-API-Key"}
    )
    with pytest.raises(SourceRefused, match=r"refused our credentials .HTTP 401"):
        web.read(RATES, START, START + DAY, stranger)
    assert waits == []


def test_another_host_does_not_get_the_key(web: Web) -> None:
    """A next page elsewhere, here the same server under another name, is asked for without it."""
    client = open_client(web.fx_connection())
    assert client.get("/fx/v1/rates").status_code == 400
    assert client.get(f"http://localhost:{web.port}/fx/v1/rates").status_code == 401
    client.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_throttling_is_waited_out(web: Web, waits: list[float], status: int) -> None:
    web.faults.wish({"turn_away": 2, "status": status, "retry_after": "5"})
    assert len(web.read(RATES, START, START + DAY)) == 48
    assert len(waits) == 2
    assert all(5 <= wait <= 6 for wait in waits)


def test_a_date_to_come_back_at_is_understood(web: Web, waits: list[float]) -> None:
    web.faults.wish({"turn_away": 1, "retry_after": format_datetime(now() + timedelta(seconds=30), usegmt=True)})
    web.read(RATES, START, START + DAY)
    assert 25 <= waits[0] <= 32


def test_silence_is_a_named_error(web: Web, waits: list[float]) -> None:
    web.faults.wish({"delay": 0.5})
    connection = web.fx_connection(key_header="X-API-Key", timeout=0.05)
    with pytest.raises(SourceUnavailable, match="in 6 tries; the last ended in ReadTimeout") as caught:
        web.read(RATES, START, START + DAY, connection)
    hushed(caught.value)
    assert len(waits) == 5


def test_nobody_there_is_a_named_error() -> None:
    connection = Connection("fx_api", "http", "127.0.0.1", 1, password=KEY, schema="http")
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        Web(1, None).read(RATES, START, START + DAY, connection)  # type: ignore[arg-type]


def test_a_connection_without_a_host_is_refused() -> None:
    with pytest.raises(ConnectionMalformed, match="names no host"):
        open_client(Connection("fx_api", "http"))


def test_hours_without_a_rate_are_normal_or_an_error_by_contract(web: Web) -> None:
    """ING-7."""
    web.faults.wish({"missing": ["2025-10-01T05:00:00.000Z"]})
    assert len(web.read(RATES, START, START + DAY)) == 46
    with pytest.raises(SeriesGap, match=r"2 steps have no row \(EUR GBP 2025-10-01T05:00:00Z; EUR USD") as caught:
        web.read(RATES, START, START + DAY, missing_is_error=True)
    assert "missingIsError" in caught.value.remedy
    web.faults.wish({})
    assert len(web.read(RATES, START, START + DAY, missing_is_error=True)) == 48


def test_no_rate_at_all_is_a_gap_of_every_hour(web: Web) -> None:
    web.fill(RATES, [])
    assert web.read(RATES, START, START + DAY) == []
    with pytest.raises(SeriesGap, match="24 steps have no row"):
        web.read(RATES, START, START + DAY, missing_is_error=True)


def test_hours_before_the_series_began_are_not_missed(web: Web) -> None:
    rows = web.read(RATES, START - DAY, START + DAY, missing_is_error=True, initial_value=START)
    assert len(rows) == 48


def read(answer: Callable[[httpx.Request], httpx.Response], **options: Any) -> list[dict[str, Any]]:
    """Rows of a day from an API that answers so."""
    contract, source = bronze(RATES, options=OPTIONS | options)
    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://api.example")
    feed = open_feed(contract, source, client)
    return [
        row for piece in feed.plan([Window(START, START + DAY)], ()) for b in feed.read(piece) for row in b.to_pylist()
    ]


def answer_of(records: Any, **beside: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": {"rates": records}, **beside})


def test_pages_by_number_end_with_an_empty_one() -> None:
    pages = {"1": [{"n": 1}], "2": [{"n": 2}], "3": []}
    assert [row["n"] for row in read(lambda r: answer_of(pages[r.url.params["page"]]), page="page")] == ["1", "2"]


def test_pages_by_address_are_followed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        second = "second" in request.url.path
        return answer_of([{"n": 2 if second else 1}], next=None if second else "http://api.example/second?x=1")

    assert [row["n"] for row in read(answer, next="next")] == ["1", "2"]


def test_pages_that_lead_in_a_circle_are_an_error() -> None:
    with pytest.raises(SourceRefused, match="leads to the same page again"):
        read(lambda request: answer_of([{"n": 1}], next="same"), next="next", token="cursor")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(200, text="<html>"), "is no JSON"),
        (httpx.Response(200, content=b'{"data": "\xff'), "is no JSON"),
        (httpx.Response(200, text="[" * 100_000), "is no JSON"),
        (httpx.Response(200, json={"data": {"rate": []}}), "no list of records at 'data.rates'"),
        (httpx.Response(200, json=[1]), "no list of records at 'data.rates'"),
        (httpx.Response(302, headers={"Location": "http://elsewhere.example"}), "is HTTP 302"),
        (httpx.Response(404), "is HTTP 404"),
    ],
)
def test_a_strange_answer_is_a_named_error(answer: httpx.Response, says: str) -> None:
    with pytest.raises(SourceRefused, match=says) as caught:
        read(lambda request: answer)
    assert "contract.odcs.yaml" in caught.value.remedy


def test_a_record_that_is_none_is_kept_with_its_reason() -> None:
    text = json.dumps({"data": {"rates": [{"n": 1}, "text", None, [1], {"n": "\ud800x"}]}})
    rows = read(lambda request: httpx.Response(200, text=text))
    assert [row[FAULT] for row in rows] == [None, *["record_is_no_object"] * 3, "text_is_no_unicode"]
    assert [row[RAW] for row in rows] == [None, '"text"', "null", '["1"]', None]
    assert rows[-1]["n"] == "?x"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(records=st.lists(JSON, max_size=8))
def test_no_record_breaks_a_batch_or_is_lost(records: list[Any]) -> None:
    parsed = json.loads(json.dumps(records), **EXACT)
    names = {name for record in parsed if isinstance(record, dict) for name in record} or {"n"}
    assert text_batch(parsed, names).num_rows == len(records)


@pytest.mark.parametrize(
    ("number", "text"),
    [("1023.0", "1023"), ("1.5E3", "1500"), ("0.1", "0.1"), ("1.10", "1.10"), ("1e400", "1e400"), ("NaN", "NaN"),
     ("9007199254740993", "9007199254740993"), ("1e99999999999999999999", "1e99999999999999999999"), ("-0.0", "0")],
)  # fmt: skip
def test_numbers_keep_their_value(number: str, text: str) -> None:
    assert json.loads(number, **EXACT) == text
