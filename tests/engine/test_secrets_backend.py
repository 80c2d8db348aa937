"""Connections and the PII key come from Secrets Manager, by Airflow's own backend, as docs/deploy.md sets it up."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from lakehouse import connections

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text()


@pytest.fixture
def backend(account, aws_endpoint, monkeypatch):
    """The class and the arguments that the page names, led to the stand-in."""
    named = re.search(r"AIRFLOW__SECRETS__BACKEND=(\S+)", PAGE)[1]
    arguments = json.loads(re.search(r"AIRFLOW__SECRETS__BACKEND_KWARGS='(.+)'", PAGE)[1])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    module, _, name = named.rpartition(".")
    found = getattr(__import__(module, fromlist=[name]), name)
    return found(**arguments, endpoint_url=aws_endpoint, region_name="eu-west-1")


def test_a_connection_and_the_key_are_found_by_their_ids(backend, account):
    secrets = account.client("secretsmanager")
    told = {"conn_type": "snowflake", "login": "lakehouse", "password": "p@ss/word", "extra": {"account": "acme"}}
    made = {"snowflake_default": told, "pii_key": {"conn_type": "generic", "password": "k" * 32}}
    for name, value in made.items():
        secrets.create_secret(Name=f"{backend.connections_prefix}/{name}", SecretString=json.dumps(value))
    assert connections.parse("s", backend.get_conn_value("snowflake_default")).password == "p@ss/word"
    found = backend.get_connection("snowflake_default")
    assert (found.conn_type, found.password, found.extra_dejson) == ("snowflake", "p@ss/word", {"account": "acme"})
    assert backend.get_connection("pii_key").password == "k" * 32
    assert backend.get_conn_value("not_there") is None
    secrets.create_secret(Name=f"{backend.connections_prefix}/aws_default", SecretString="{}")
    assert backend.get_conn_value("aws_default") is None, "nobody asks: tasks are who the machine is"
    assert "AIRFLOW_CONN_SNOWFLAKE_DEFAULT" not in os.environ
