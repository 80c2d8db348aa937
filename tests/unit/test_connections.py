"""Connections from Airflow's JSON and URI forms, and what is said when they are missing or wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse import connections
from lakehouse.config import settings
from lakehouse.sandbox import envfile


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_json_form():
    text = json.dumps(
        {
            "conn_type": "snowflake",
            "login": "me",
            "password": "p@ss",
            "schema": "PUBLIC",
            "extra": {"account": "acme", "port": 8443},
        }
    )
    conn = connections.get("snowflake_default", {"AIRFLOW_CONN_SNOWFLAKE_DEFAULT": text})
    assert (conn.conn_type, conn.login, conn.password, conn.schema) == ("snowflake", "me", "p@ss", "PUBLIC")
    assert conn.extra == {"account": "acme", "port": 8443}
    assert conn.host is None
    assert conn.port is None


def test_json_form_with_extra_as_text_and_port_as_text():
    conn = connections.parse("x", '{"conn_type": "aws", "port": "5000", "extra": "{\\"region_name\\": \\"eu-1\\"}"}')
    assert conn.port == 5000
    assert conn.extra["region_name"] == "eu-1"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://me:p%40ss%2F@db.example.com:5439/shop?sslmode=require",
         ("postgres", "db.example.com", 5439, "me", "p@ss/", "shop", {"sslmode": "require"})),
        ("postgres://me@%2Ftmp%2FSock/shop", ("postgres", "/tmp/Sock", None, "me", None, "shop", {})),
        ("spark-connect://localhost:15002", ("spark_connect", "localhost", 15002, None, None, None, {})),
        ("aws://?__extra__=%7B%22a%22%3A%20%7B%22b%22%3A%201%7D%7D",
         ("aws", None, None, None, None, None, {"a": {"b": 1}})),
    ],
)  # fmt: skip
def test_uri_form(uri, expected):
    conn = connections.parse("x", uri)
    assert (conn.conn_type, conn.host, conn.port, conn.login, conn.password, conn.schema, dict(conn.extra)) == expected


def test_neither_password_nor_extra_is_in_the_repr():
    conn = connections.parse("x", '{"conn_type": "t", "password": "hunter2", "extra": {"token": "hunter3"}}')
    assert "hunter" not in repr(conn)
    assert "hunter" not in str(conn)


def test_a_missing_connection_is_named_with_the_remedy():
    with pytest.raises(connections.ConnectionMissing) as caught:
        connections.get("redshift_default", {})
    assert "'redshift_default'" in caught.value.what
    assert "AIRFLOW_CONN_REDSHIFT_DEFAULT" in caught.value.remedy
    assert "sandbox up" in caught.value.remedy


@pytest.mark.parametrize(
    "text", ["hunter2", '{"password": "hunter2"', '{"password": "hunter2"}', "pg://a:hunter2@h:port/", "{}"]
)
def test_a_malformed_connection_does_not_show_its_value(text):
    with pytest.raises(connections.ConnectionMalformed) as caught:
        connections.parse("broken", text)
    assert "broken" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_the_sandbox_file_is_read_where_the_environment_says_nothing(home: Path):
    envfile.path(home).parent.mkdir()
    envfile.write(envfile.path(home), {"AIRFLOW_CONN_PII_KEY": '{"conn_type": "generic", "password": "from-file"}'})
    assert connections.get("pii_key", {}).password == "from-file"
    given = {"AIRFLOW_CONN_PII_KEY": '{"conn_type": "generic", "password": "from-env"}'}
    assert connections.get("pii_key", given).password == "from-env"


def test_snowflake_needs_an_account():
    with pytest.raises(connections.ConnectionMalformed, match="names no account"):
        connections.open_snowflake(connections.parse("s", '{"conn_type": "snowflake"}'))
