"""Pages and links beside the UI, assets of publishes, and the forms of triggers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse import ledger, paths
from lakehouse.config import settings
from lakehouse.ledger.events import Event


@pytest.fixture
def lake(dags: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A lake with one held load and two rows in quarantine."""
    import pyarrow as pa

    from lakehouse.delta import append_rows

    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    moment = datetime(2025, 10, 4, tzinfo=UTC)
    held = Event("held", "bronze.orders", "b1", 1, "a", "r", "scheduled", detail="<rule>", event_ts=moment)
    ledger.append(held, Event("started", "bronze.customers", "b2", 1, "a", "r", "scheduled"))
    rows = [
        {
            "table": "bronze.orders",
            "quarantined_ts": moment,
            "reasons": ["status_known", "r2"],
            "row": '{"x": "secret"}',
        },
        {"table": "bronze.orders", "quarantined_ts": moment, "reasons": ["status_known"], "row": '{"x": "secret"}'},
    ]
    append_rows(paths.ops("quarantine"), pa.Table.from_pylist(rows), ("table",))
    yield tmp_path
    settings.cache_clear()


def test_the_page_of_a_table_shows_its_loads(lake: Path):
    from lakehouse_airflow import pages

    (row,) = pages.loads("bronze.orders")
    assert (row["event"], row["batch"], row["detail"]) == ("held", "b1", "<rule>")
    assert "&lt;rule&gt;" in pages.page("Loads", [row])


def test_quarantine_is_counted_by_rule_and_shows_no_row(lake: Path):
    from lakehouse_airflow import pages

    found = pages.reasons("bronze.orders")
    assert {(row["day"], row["rule"]): row["rows"] for row in found} == {
        ("2025-10-04", "status_known"): 2,
        ("2025-10-04", "r2"): 1,
    }
    assert "secret" not in pages.page("Quarantine", found)
    assert pages.reasons("bronze.products") == []


def test_pages_answer_for_tables_only(lake: Path):
    from fastapi.testclient import TestClient

    from lakehouse_airflow import pages

    client = TestClient(pages.app(guard=lambda: None))
    assert "status_known" in client.get("/quarantine/bronze.orders").text
    assert "held" in client.get("/ledger/bronze.orders").text
    assert client.get("/ledger/bronze.nonesuch").status_code == 404


def test_pages_refuse_who_is_not_logged_in(lake: Path):
    from fastapi.testclient import TestClient

    from lakehouse_airflow import pages

    client = TestClient(pages.serve)
    assert client.get("/ledger/bronze.orders").status_code in (401, 403)
    assert client.get("/quarantine/bronze.orders").status_code in (401, 403)


def test_tasks_of_a_table_link_to_its_pages(dags: dict[str, Any]):
    task = dags["lakehouse_daily"].get_task("bronze_orders.extract")
    links = {link.name: link.get_link(task, ti_key=None) for link in task.operator_extra_links}
    assert links == {"Ledger": "/lakehouse/ledger/bronze.orders", "Quarantine": "/lakehouse/quarantine/bronze.orders"}


def test_every_publish_tells_of_its_tables(dags: dict[str, Any]):
    told: dict[str, str] = {}
    for task in dags["lakehouse_daily"].tasks:
        told |= {outlet.name: outlet.uri for outlet in task.outlets}
        assert not task.outlets or "publish" in task.task_id
    assert told["gold.fact_sales"] == "gold.fact_sales"
    assert set(told) == {name.replace("_", ".", 1) for name in groups(dags)}


def groups(dags: dict[str, Any]) -> set[str]:
    return {
        task.task_id.partition(".")[0] for task in dags["lakehouse_daily"].tasks if task.task_id.endswith("dq_gate")
    }


def test_an_event_carries_version_and_rows(lake: Path):
    from lakehouse_airflow.assets import asset, tell

    events = {asset(name): SimpleNamespace(extra={}) for name in ("ops.quarantine", "silver.orders")}
    batch = {"table": "ops.quarantine", "batch_id": "b1", "counts": {"version": 7}}
    tell(events, list(events), [batch])
    assert events[asset("ops.quarantine")].extra == {"version": 7, "rows": 2, "batch_id": "b1"}
    assert events[asset("silver.orders")].extra == {}


@pytest.mark.parametrize(
    ("dag_id", "given"),
    [
        ("lakehouse_optimize", {"hours": 167}),
        ("lakehouse_optimize", {"tables": "silver.orders; DROP"}),
        ("lakehouse_optimize", {"zorder": ["a b"]}),
        ("lakehouse_optimize", {"zorder": "customer_id"}),
        ("lakehouse_daily", {"up_to": "yesterday"}),
    ],
)
def test_a_form_refuses_what_cannot_be(dags: dict[str, Any], dag_id: str, given: dict[str, Any]):
    from airflow.sdk.exceptions import ParamValidationError

    ((name, value),) = given.items()
    with pytest.raises(ParamValidationError):
        dags[dag_id].params.get_param(name).resolve(value=value)


def test_the_defaults_of_every_form_are_valid(dags: dict[str, Any]):
    for dag in dags.values():
        dag.params.validate()


def test_a_run_by_hand_ends_where_its_form_says(dags: dict[str, Any]):
    from lakehouse_airflow.context import FormWrong, run_of

    now = datetime(2025, 10, 4, 12, tzinfo=UTC)
    run = SimpleNamespace(dag_id="d", run_id="r", logical_date=None, run_after=now, run_type="manual")
    assert run_of({"dag_run": run, "params": {"up_to": None}}).end == now
    assert run_of({"dag_run": run, "params": {"up_to": "2025-10-03T02:00:00+02:00"}}).end == datetime(
        2025, 10, 3, tzinfo=UTC
    )
    with pytest.raises(FormWrong, match="yet to come"):
        run_of({"dag_run": run, "params": {"up_to": "2025-10-05T00:00:00Z"}})
