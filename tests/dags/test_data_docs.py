"""Data Docs in the UI: the link of a gate's task, and the pages, for users who are logged in."""

from __future__ import annotations

import pytest

from lakehouse.config import settings

BATCH = {"table": "gold.fact_sales", "batch_id": "b-1", "attempt": "a-1"}


@pytest.fixture
def home(dags, tmp_path, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    page = tmp_path / "data_docs" / "gold" / "fact_sales" / "b-1" / "a-1.html"
    page.parent.mkdir(parents=True)
    page.write_text("<title>it failed</title>")
    (tmp_path / "secret.html").write_text("not for you")
    yield tmp_path
    settings.cache_clear()


@pytest.mark.parametrize(
    ("batch", "end"),
    [
        (BATCH, "/data-docs/gold/fact_sales/b-1/a-1.html"),
        ({**BATCH, "attempt": "a-2"}, ""),
        ({**BATCH, "attempt": ""}, ""),
        ("{{ not rendered }}", ""),
    ],
)
def test_a_gate_links_to_its_page(home, batch, end):
    from lakehouse_airflow.operators import DataQualityGateOperator

    gate = DataQualityGateOperator(task_id="dq_gate", table="gold.fact_sales", batch=batch)
    (link,) = gate.operator_extra_links
    found = link.get_link(gate, ti_key=None)
    assert link.name == "Data Docs"
    assert found.endswith(end)
    assert bool(found) is bool(end)


@pytest.fixture
def client(home, monkeypatch):
    from airflow.api_fastapi.core_api import security
    from fastapi.testclient import TestClient

    from lakehouse_airflow import data_docs

    data_docs._served.cache_clear()
    app = data_docs._served()
    app.dependency_overrides[security.get_user] = lambda: object()
    yield TestClient(app)
    data_docs._served.cache_clear()


def test_a_page_is_served(client):
    answer = client.get("/gold/fact_sales/b-1/a-1.html")
    assert (answer.status_code, answer.text) == (200, "<title>it failed</title>")


@pytest.mark.parametrize("path", ["/gold/fact_sales/b-1/a-9.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "/gold"])
def test_nothing_else_is_served(client, path):
    assert client.get(path).status_code == 404


def test_a_stranger_sees_nothing(client):
    client.app.dependency_overrides.clear()
    assert client.get("/gold/fact_sales/b-1/a-1.html").status_code == 401


def test_the_plugin_serves_them(dags):
    from plugins.lakehouse_plugin import LakehousePlugin

    from lakehouse_airflow import data_docs

    assert {served["url_prefix"]: served["app"] for served in LakehousePlugin.fastapi_apps}[
        "/data-docs"
    ] == data_docs.app
    assert data_docs.DataDocsLink in [type(link) for link in LakehousePlugin.operator_extra_links]
