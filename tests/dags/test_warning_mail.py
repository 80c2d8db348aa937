"""The mail of a gate that went on: to the table's owner, once, through a real mail server, without a key of a row."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from socket import socket
from threading import Thread
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller

from lakehouse.quality import GateResult, RuleResult
from tests.unit.test_quality_measure import contract

RESULT = GateResult(
    "silver.parcels",
    "b-1",
    "r-1",
    True,
    (
        RuleResult("few", "row_count", "critical", True, None, "9 rows", ""),
        RuleResult("light", "row", "warning", False, 7, "7 failing rows", "", 7.0, ('{"id":4711}',)),
    ),
    0.5,
    "c0ffee",
)
OWNED = replace(contract(), owner_email="depot@shop.example")


@pytest.fixture(autouse=True)
def airflow(dags):
    """Imported where its home is a test's."""


class Kept:
    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
        return "250 OK"


@contextmanager
def mail_server(monkeypatch):
    kept = Kept()
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(kept, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        extra = "?from_email=lakehouse%40example.com&disable_tls=true&disable_ssl=true"
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", f"smtp://127.0.0.1:{port}/{extra}")
        yield kept.mails
    finally:
        controller.stop()


def tell(result, monkeypatch):
    from lakehouse_airflow.warnings import mail_warnings

    with mail_server(monkeypatch) as mails:
        sent = mail_warnings(OWNED, result, "http://run", "http://docs")
    assert sent is bool(mails)
    return mails


def test_a_warning_mails_the_owner_once(monkeypatch):
    ((to, mail),) = tell(RESULT, monkeypatch)
    body = mail.get_content()
    assert to == ["depot@shop.example"]
    assert mail["Subject"] == "[lakehouse] warns: silver.parcels: light"
    for said in ("light: 7 failing rows", "http://run", "http://docs", "lakehouse gate show", "dq_failover.md"):
        assert said in body
    assert "few" not in body
    assert "4711" not in body


def test_an_overridden_failure_mails_too(monkeypatch):
    result = replace(RESULT, passed=False, override="o-1")
    ((_, mail),) = tell(result, monkeypatch)
    assert mail["Subject"].startswith("[lakehouse] was overridden: silver.parcels")
    assert "o-1" in mail.get_content()


@pytest.mark.parametrize("result", [replace(RESULT, results=RESULT.results[:1]), replace(RESULT, passed=False)])
def test_what_holds_and_what_is_held_mails_nothing_here(result, monkeypatch):
    """The failed run has a mail of its own."""
    assert tell(result, monkeypatch) == []


@pytest.mark.parametrize("server", ["none", "hangs up"])
def test_a_mail_that_cannot_be_sent_holds_nothing(monkeypatch, server):
    from lakehouse_airflow.warnings import teller

    said = []
    log = SimpleNamespace(error=lambda *told: said.append(told))
    monkeypatch.delenv("AIRFLOW_CONN_SMTP_DEFAULT", raising=False)
    with socket() as listening:
        if server == "hangs up":
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            extra = "?disable_tls=true&disable_ssl=true&retry_limit=1&timeout=1"
            where = f"smtp://127.0.0.1:{listening.getsockname()[1]}/{extra}"
            monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", where)
            Thread(target=lambda: listening.accept()[0].close(), daemon=True).start()
        run = SimpleNamespace(dag_id="d", run_id="r")
        teller(run, log)(OWNED, SimpleNamespace(table="silver.parcels", batch_id="b", attempt="a"), RESULT)
    ((text, table, _),) = said
    assert ("not sent" in text, table) == (True, "silver.parcels")
