"""Connections as a task gets them: from Airflow, to a client of the library where no hook gives one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lakehouse import connections


@pytest.mark.parametrize("conn_type", ["salesforce", "http"])
def test_airflows_connection_reaches_the_client_whole(
    dags: dict[str, Any], monkeypatch: pytest.MonkeyPatch, conn_type: str
) -> None:
    """`dags` only has Airflow imported in an environment of its own."""
    from lakehouse_airflow import hooks

    told = {
        "conn_type": conn_type, "host": "api.example", "port": 8443, "login": "me", "password": "hush",
        "schema": "https", "extra": {"security_token": "t", "key_header": "X-API-Key"},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_SOURCE", json.dumps(told))
    monkeypatch.setattr(connections, "open_client", lambda connection: connection)
    assert hooks.open_source("source") == connections.parse("source", json.dumps(told))
