"""The Salesforce feed by its real client against the stand-in: nothing lost, nothing doubled, nothing told."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.connections import ConnectionMalformed, ConnectionRefused, open_client
from lakehouse.ingest import web as patience
from lakehouse.ingest.feed import open_feed
from lakehouse.ingest.salesforce import extract_soql
from lakehouse.ingest.web import SourceRefused, SourceUnavailable
from lakehouse.ledger.windows import Window
from lakehouse.sandbox.shop.model import Row
from tests.integration.web import PASSWORD, START, TOKEN, Web, bronze, served

ACCOUNTS, CONTACTS = "salesforce_accounts", "salesforce_contacts"
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with served(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
def web(server: Web) -> Web:
    server.faults.wish({})
    server.fill(ACCOUNTS, [account(n, hours=n % 5 + 1) for n in range(20)])
    return server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that would have been made, in seconds."""
    made: list[float] = []
    monkeypatch.setattr(patience, "sleep", made.append)
    return made


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not [r for r in caplog.records if PASSWORD in r.getMessage() or TOKEN in r.getMessage()]


def account(n: int, hours: float = 1, deleted: bool = False) -> Row:
    at = (START + timedelta(hours=hours)).replace(tzinfo=None)
    return {
        "Id": f"001{n:015d}", "Name": f"Company {n}", "Industry": None, "BillingCountry": "CZ", "Rating": "Hot",
        "IsDeleted": deleted, "SystemModstamp": at,
    }  # fmt: skip


def ids(rows: list[Row]) -> list[str]:
    return sorted(row["Id"] for row in rows)


def hushed(error: BaseException) -> str:
    """What a log would show of `error`, which holds no secret."""
    text = "".join(traceback.format_exception(error)) + repr(error)
    assert PASSWORD not in text
    assert TOKEN not in text
    return str(error)


@given(hours=st.lists(st.integers(-1, 4), max_size=25), size=st.integers(1, 6), cut=st.integers(0, 4))
def test_every_record_comes_once_whatever_the_pages_and_the_ties(
    server: Web, hours: list[int], size: int, cut: int
) -> None:
    """ING-6: few distinct times, so that they straddle pages and the border between two windows."""
    server.faults.wish({"page_size": size})
    rows = [account(n, hours=h) for n, h in enumerate(hours)]
    server.fill(ACCOUNTS, rows)
    border = START + timedelta(hours=cut)
    found = [server.read(ACCOUNTS, START, border), server.read(ACCOUNTS, border, START + 4 * timedelta(hours=1))]
    assert ids(found[0]) == [row["Id"] for row, h in zip(rows, hours, strict=True) if 0 < h <= cut]
    assert ids(found[1]) == [row["Id"] for row, h in zip(rows, hours, strict=True) if cut < h <= 4]


def test_values_come_as_salesforce_wrote_them(web: Web) -> None:
    opportunity = {
        "Id": "006000000000000001", "AccountId": "001", "StageName": "Closed Won", "Amount": "1234567.89",
        "CurrencyIsoCode": "EUR", "IsDeleted": False, "SystemModstamp": datetime(2025, 10, 1, 1),
    }  # fmt: skip
    web.fill("salesforce_opportunities", [opportunity])
    (row,) = web.read("salesforce_opportunities", START, START + DAY)
    assert row == opportunity | {"IsDeleted": "false", "SystemModstamp": "2025-10-01T01:00:00.000+0000"}


def test_a_number_that_salesforce_keeps_as_a_double_is_whole_again(web: Web) -> None:
    web.fill(CONTACTS, [contact()])
    (row,) = web.read(CONTACTS, START, START + DAY)
    assert row["ShopCustomerId__c"] == "1023"


def contact() -> Row:
    return {
        "Id": "003000000000000001", "AccountId": "001", "ShopCustomerId__c": 1023, "Email": "a@example.com",
        "Name": "A", "Phone": "1", "MailingCity": "Praha", "IsDeleted": False,
        "SystemModstamp": datetime(2025, 10, 1, 1),
    }  # fmt: skip


def test_deleted_records_come_marked(web: Web) -> None:
    web.fill(ACCOUNTS, [account(1), account(2, deleted=True)])
    rows = web.read(ACCOUNTS, START, START + DAY)
    assert {row["Id"][-1]: row["IsDeleted"] for row in rows} == {"1": "false", "2": "true"}


def test_fields_are_those_the_object_has_now(web: Web) -> None:
    web.faults.wish({"renamed": {"Industry": "Sector__c", "BillingCountry": ""}})
    rows = web.read(ACCOUNTS, START, START + DAY)
    assert set(rows[0]) == {"Id", "Name", "Sector__c", "Rating", "IsDeleted", "SystemModstamp"}
    assert len(rows) == 20


def test_what_a_policy_discards_is_not_fetched(web: Web) -> None:
    """Fields of people that nobody has classified stay in Salesforce."""
    web.fill(CONTACTS, [contact()])
    contract, _ = bronze(CONTACTS)
    (row,) = web.read(CONTACTS, START, START + DAY)
    assert set(row) == {column.source_name for column in contract.columns}
    (row,) = web.read(CONTACTS, START, START + DAY, schema_policy="keep")
    assert row["MailingCity"] == "Praha"


def test_an_expired_session_is_renewed_and_the_page_read_again(web: Web) -> None:
    web.faults.wish({"page_size": 3, "session_requests": 2})
    assert web.salesforce
    before = web.salesforce.logins
    assert ids(web.read(ACCOUNTS, START, START + DAY)) == [f"001{n:015d}" for n in range(20)]
    # Describe and seven pages, two requests a session.
    assert web.salesforce.logins - before == 4


def test_a_session_that_cannot_be_renewed_is_a_named_error(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.faults.wish({"session_requests": 2, "page_size": 3})
    contract, source = bronze(ACCOUNTS)
    client = open_client(web.salesforce_connection)
    feed = open_feed(contract, source, client)
    (piece,) = feed.plan([Window(START, START + DAY)], ())
    pages = feed.read(piece)
    next(pages)
    monkeypatch.setattr(web.salesforce, "password", "another")
    with pytest.raises(SourceRefused, match=r"refused our credentials .INVALID_LOGIN") as caught:
        next(pages)
    assert "salesforce_default" in hushed(caught.value)
    client.close()


@pytest.mark.parametrize("status", [403, 429, 503])
def test_throttling_is_waited_out(web: Web, waits: list[float], status: int) -> None:
    web.faults.wish({"turn_away": 3, "status": status, "retry_after": "7"})
    assert len(web.read(ACCOUNTS, START, START + DAY)) == 20
    assert len(waits) == 3
    assert all(7 <= wait <= 8 for wait in waits)


def test_pauses_grow_and_differ_where_none_is_asked_for(web: Web, waits: list[float]) -> None:
    web.faults.wish({"turn_away": 5})
    web.read(ACCOUNTS, START, START + DAY)
    assert len(set(waits)) == 5
    assert all(0 <= wait <= 2**n for n, wait in enumerate(waits))


def test_endless_throttling_is_a_named_error(web: Web, waits: list[float]) -> None:
    web.faults.wish({"turn_away": 100, "status": 403})
    with pytest.raises(SourceUnavailable, match="in 6 tries; the last ended in REQUEST_LIMIT_EXCEEDED") as caught:
        web.read(ACCOUNTS, START, START + DAY)
    assert "bronze.salesforce_accounts: salesforce_default Account" in hushed(caught.value)
    assert len(waits) == 5


def test_more_patience_than_a_task_has_is_not_waited_for(web: Web, waits: list[float]) -> None:
    web.faults.wish({"turn_away": 1, "retry_after": "3600"})
    with pytest.raises(SourceUnavailable, match="wants 3600 s of patience"):
        web.read(ACCOUNTS, START, START + DAY)
    assert waits == []


def test_a_forgotten_query_is_a_named_error(web: Web) -> None:
    web.faults.wish({"page_size": 3})
    contract, source = bronze(ACCOUNTS)
    client = open_client(web.salesforce_connection)
    feed = open_feed(contract, source, client)
    pages = feed.read(feed.plan([Window(START, START + DAY)], ())[0])
    next(pages)
    assert web.salesforce
    web.salesforce.cursors.clear()
    with pytest.raises(SourceRefused, match="forgot a query"):
        next(pages)
    client.close()


def test_an_unknown_object_and_a_lost_cursor_are_named(web: Web) -> None:
    with pytest.raises(SourceRefused, match="NOT_FOUND"):
        web.read(ACCOUNTS, START, START + DAY, object="Acount")
    web.faults.wish({"renamed": {"SystemModstamp": ""}})
    with pytest.raises(SourceRefused, match="INVALID_FIELD No such column 'SystemModstamp'"):
        web.read(ACCOUNTS, START, START + DAY)


def test_a_wrong_password_is_tried_once(web: Web, waits: list[float]) -> None:
    from dataclasses import replace

    assert web.salesforce
    before = web.salesforce.logins
    stranger = replace(
        web.salesforce_connection, login="someone", extra=web.salesforce_connection.extra | {"security_token": "x"}
    )
    with pytest.raises(ConnectionRefused, match=r"salesforce_default.*INVALID_LOGIN") as caught:
        open_client(stranger)
    hushed(caught.value)
    assert (web.salesforce.logins, waits) == (before, [])


def test_a_connection_without_a_token_or_a_server_is_named(web: Web) -> None:
    from dataclasses import replace

    known = web.salesforce_connection
    bare = {name: value for name, value in known.extra.items() if name != "security_token"}
    with pytest.raises(ConnectionMalformed, match="lacks what a login needs"):
        open_client(replace(known, extra=bare))
    with pytest.raises(ConnectionRefused, match="ConnectionError") as caught:
        open_client(replace(known, extra=known.extra | {"endpoint_url": "http://127.0.0.1:1"}))
    hushed(caught.value)


@pytest.mark.parametrize("name", ["Account WHERE", "Id, Name", "a'b", "", "1a", "Acc\nount", "Ąccount", 'Ac"c'])
def test_no_name_gets_into_a_query_that_is_none(name: str) -> None:
    """OPS-6: SOQL has no quotes for identifiers."""
    window = Window(START, START + DAY)
    for words in ((name, ["Id"], "SystemModstamp"), ("Account", [name], "SystemModstamp"), ("Account", ["Id"], name)):
        with pytest.raises(SourceRefused, match="no name"):
            extract_soql(*words, window)


def test_bounds_fall_between_the_milliseconds_that_salesforce_keeps() -> None:
    window = Window(START + timedelta(microseconds=1999), START + DAY)
    soql = extract_soql("Account", ["Id"], "SystemModstamp", window)
    assert "SystemModstamp > 2025-10-01T00:00:00.001Z AND SystemModstamp <= 2025-10-02T00:00:00.000Z" in soql


def test_the_first_load_goes_in_chunks(web: Web, tmp_path: Path) -> None:
    contract, source = bronze(ACCOUNTS, chunk=DAY, lookback=timedelta(hours=2))
    client = open_client(web.salesforce_connection)
    slices = open_feed(contract, source, client).plan([Window(START, START + 3 * DAY)], ())
    assert len(slices) == 4
    assert slices[0].spec["low"] == "2025-09-30T22:00:00+00:00"
    client.close()
