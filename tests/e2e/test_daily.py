"""Days through the real scheduler, held against an independent computation from the sources."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse import config, ledger, paths, watermarks
from lakehouse.books import books
from lakehouse.sandbox.demo import Demo
from lakehouse.sandbox.rest import Airflow
from tests import audits, oracle
from tests.e2e.conftest import DAG, LAST, Platform, ends_green, versions

DAYS = range(1, LAST + 1)


def gold(platform: Platform, day: int, *tables: str) -> dict[str, Any]:
    """Gold tables as they were after the run of `day`."""
    return {
        table: DeltaTable(
            paths.table(f"gold.{table}"), version=platform.versions[day][f"gold.{table}"]
        ).to_pyarrow_table()
        for table in tables
    }


def content(platform: Platform) -> dict[str, list[tuple[Any, ...]]]:
    """Every silver and gold table's rows, operational columns aside, sorted."""
    found = {}
    for entry in platform.manifest.entries:
        if entry.layer != "bronze":
            table = DeltaTable(paths.table(entry.name)).to_pyarrow_table()
            names = [name for name in table.column_names if not name.startswith("_")]
            found[entry.name] = oracle.ask("SELECT * FROM t ORDER BY ALL", {"t": table.select(names)})
    return found


def test_every_day_is_green(platform: Platform) -> None:
    assert platform.summary.ok, platform.summary.runs
    assert [run["state"] for run in platform.summary.runs] == ["success"] * LAST


@pytest.mark.parametrize("day", DAYS)
def test_sales_of_every_day_equal_the_sources(platform: Platform, day: int) -> None:
    expected = oracle.ask(oracle.SALES, platform.sources[day])
    assert len(expected) > 30
    assert oracle.ask(oracle.GOLD_SALES, gold(platform, day, "fact_sales")) == expected


@pytest.mark.parametrize("day", DAYS)
def test_the_star_of_every_day_passes_every_audit(platform: Platform, day: int) -> None:
    pictures = [platform.sources[n] for n in range(1, day + 1)]
    assert audits.faults(audits.SHOP, audits.star(pictures, platform.versions[day])) == {}


@pytest.mark.parametrize("day", DAYS)
def test_orders_and_sales_agree_in_usd_to_the_cent(platform: Platform, day: int) -> None:
    orders = DeltaTable(paths.table("silver.orders"), version=platform.versions[day]["silver.orders"])
    tables = {"orders": orders.to_pyarrow_table(), **gold(platform, day, "fact_sales")}
    ((in_usd, amount, sales_in_usd, sales),) = oracle.ask(oracle.ORDERS_AND_SALES, tables)
    assert (in_usd, amount) == (sales_in_usd, sales)
    assert in_usd > amount > 0


def test_late_and_corrected_rates_repair_sales_of_the_day_before(platform: Platform) -> None:
    """A sale of day 1 has another rate after day 2, and it is the one of the sources then."""
    before, after = ({"fact_sales": gold(platform, day, "fact_sales")["fact_sales"]} for day in (1, 2))
    rates = "SELECT order_id, line_number, usd_rate FROM fact_sales WHERE order_date <= DATE '2025-10-01'"
    known = {row[:2]: row[2] for row in oracle.ask(rates, before)}
    repaired = [row for row in oracle.ask(rates, after) if known.get(row[:2], row[2]) != row[2]]
    assert repaired, "the shop must publish a rate late"
    planted = json.loads((platform.home / "sandbox" / "shop" / "manifest" / "day-002.json").read_text())["planted"]
    assert {"late_rate", "corrected_rate"} <= {fault["kind"] for fault in planted}


@pytest.mark.parametrize("day", DAYS)
def test_behaviour_of_every_day_equals_the_sources(platform: Platform, day: int) -> None:
    expected = oracle.ask(oracle.EVENTS, platform.sources[day])
    assert len(expected) > 30
    assert oracle.ask(oracle.GOLD_EVENTS, gold(platform, day, "fact_behavior")) == expected


@pytest.mark.parametrize("day", DAYS)
def test_facts_point_at_the_version_of_their_time(platform: Platform, day: int) -> None:
    tables = gold(platform, day, "fact_sales", "dim_customer")
    assert oracle.ask(oracle.SALES_BY_KEY, tables) == oracle.ask(oracle.SALES_BY_SEGMENT, tables)


def test_a_change_in_a_source_shows_in_gold(platform: Platform) -> None:
    """Customers whose segment changed between the pictures of the first and the last day have a new current version."""
    changed = oracle.ask(
        """SELECT b.customer_id, b.segment FROM first a JOIN last b USING (customer_id)
        WHERE a.segment <> b.segment AND NOT b.is_deleted AND b.segment IN ('consumer', 'business', 'vip')""",
        {"first": platform.sources[1]["customers"], "last": platform.sources[LAST]["customers"]},
    )
    assert changed, "the shop must change a customer"
    current = dict(
        oracle.ask(
            "SELECT customer_id, segment FROM dim_customer WHERE is_current", gold(platform, LAST, "dim_customer")
        )
    )
    assert {key: current[key] for key, _ in changed} == dict(changed)


def test_quarantine_holds_exactly_what_was_planted(platform: Platform) -> None:
    folder = platform.home / "sandbox" / "shop" / "manifest"
    days = [json.loads((folder / f"day-{n:03d}.json").read_text())["planted"] for n in range(LAST + 1)]
    # The history and day 1 are in the sources before the first run: what day 1 repairs was never there to be seen.
    unseen = {(f["table"], str(f["key"])) for f in days[1] if f["kind"] == "repaired"}
    planted: dict[tuple[str, str], int] = {}
    for n, faults in enumerate(days):
        for fault in faults:
            if fault["rule"] and not (n == 0 and (fault["table"], str(fault["key"])) in unseen):
                key = (f"bronze.{fault['table']}", fault["rule"])
                planted[key] = planted.get(key, 0) + 1
    for n in range(LAST + 1):
        for file in json.loads((folder / f"files-{n:03d}.json").read_text())["files"]:
            if file["rule"]:
                key = ("bronze.vendor_prices", file["rule"])
                planted[key] = planted.get(key, 0) + 1
    held = oracle.ask(
        'SELECT "table", rule, count(*) FROM (SELECT "table", unnest(reasons) AS rule FROM q) GROUP BY ALL',
        {"q": DeltaTable(paths.ops("quarantine")).to_pyarrow_table()},
    )
    assert {(table, rule): count for table, rule, count in held} == planted


def test_books_balance_for_every_load(platform: Platform) -> None:
    """CON-5: extracted = inserted + unchanged duplicates + quarantined; and the table holds what was inserted."""
    for entry in platform.manifest.layer("bronze"):
        assert books(entry.name).faults == ()
        published = [e for e in ledger.read(entry.name) if e.event == "published"]
        for event in published:
            counts = event.counts
            if counts["extracted"]:
                assert counts["extracted"] == counts["inserted"] + counts["duplicates"] + counts["quarantined"], entry
        rows = DeltaTable(paths.table(entry.name)).to_pyarrow_table().num_rows
        assert rows == sum(e.counts.get("inserted", 0) for e in published)


def test_every_row_of_bronze_says_which_load_brought_it(platform: Platform) -> None:
    """ING-8, against the ledger: `_batch_id` is a published load's, its rows are as many as that load inserted."""
    for entry in platform.manifest.layer("bronze"):
        rows = {"rows": DeltaTable(paths.table(entry.name)).to_pyarrow_table()}
        assert oracle.ask(
            "SELECT count(*) FROM rows WHERE _ingest_ts IS NULL OR _source_system IS NULL OR _run_date IS NULL", rows
        ) == [(0,)]
        held = dict(oracle.ask("SELECT _batch_id, count(*) FROM rows GROUP BY _batch_id", rows))
        loads: dict[str, int] = {}
        for event in ledger.read(entry.name):
            if event.event == "published" and event.counts.get("inserted"):
                loads[event.batch_id] = loads.get(event.batch_id, 0) + event.counts["inserted"]
        assert held == loads, entry.name


def test_watermarks_never_go_back(platform: Platform) -> None:
    """They stand where the trigger by hand brought them, which is later than the day after it (ING-4)."""
    marks = watermarks.store().all()
    assert len(marks) == len(platform.manifest.scheduled().layer("bronze"))
    assert platform.triggered
    assert all(abs(mark - platform.triggered) < timedelta(minutes=2) for mark in marks.values())


def test_every_task_tells_its_lineage(platform: Platform) -> None:
    outputs: dict[str, int] = {}
    file = platform.home / "lineage" / "openlineage.jsonl"
    for line in file.read_text().splitlines():
        event = json.loads(line)
        if event["eventType"] == "COMPLETE" and event["job"]["name"].startswith(f"{DAG}."):
            outputs[event["job"]["name"]] = len(event["inputs"]) + len(event["outputs"])
    assert len(outputs) == platform.summary.runs[0]["tasks"]
    # A date dimension is computed from nothing; every other task reads and writes something.
    assert {name for name, count in outputs.items() if count < 2} <= {f"{DAG}.gold_dim_date.transform"}


def test_task_logs_are_json_with_trace_and_batch(platform: Platform) -> None:
    folder = platform.home / "airflow" / "logs" / f"dag_id={DAG}" / "run_id=demo__2025-10-02"
    traces = set()
    for name in ("bronze_orders.extract", "silver_orders.transform", "gold_fact_sales.dq_gate", "publish_star"):
        log = next((folder / f"task_id={name}").glob("*.log"))
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        ours = [line for line in lines if line["event"] == "step done"]
        assert ours, name
        for line in ours:
            assert {"run_id", "batch_id", "job", "table", "trace_id", "duration"} <= set(line)
            traces.add(line["trace_id"])
    assert len(traces) == 1
    assert len(traces.pop()) == 32


def test_no_personal_data_leaves_the_sources(platform: Platform) -> None:
    """No e-mail address or name of a customer in any file of the lake, the logs, the lineage or the mails."""
    people = oracle.ask(
        "SELECT email, full_name FROM c WHERE email LIKE '%@%'", {"c": platform.sources[LAST]["customers"]}
    )
    needles = [text.encode() for row in people[:40] for text in row if text]
    searched = 0
    for top in ("lake", "airflow/logs", "lineage", "logs", "sandbox/mail", "sandbox/logs"):
        for file in (platform.home / top).rglob("*"):
            if file.is_file() and file.suffix != ".parquet":
                text = file.read_bytes()
                searched += 1
                assert not [n for n in needles if n in text], file
    assert searched > 100
    for name in ("bronze.customers", "bronze.salesforce_contacts"):
        table = DeltaTable(paths.table(name)).to_pyarrow_table()
        for column in ("email", "full_name"):
            values = {v for v in table[column].to_pylist() if v}
            assert not values & {text for row in people for text in row}


@pytest.mark.long(210)
def test_a_second_make_run_leaves_every_table_as_it_is(platform: Platform) -> None:
    """Every day's run is cleared and goes again, the second day's too: no table has so much as a new version."""
    content_before, versions_before = content(platform), versions(platform.manifest)
    summary = Demo(platform.url, lambda phase, what: None).run(LAST)
    assert summary.ok
    assert [run["run_id"] for run in summary.runs] == [run["run_id"] for run in platform.summary.runs]
    assert versions(platform.manifest) == versions_before
    after = content(platform)
    assert after.keys() == content_before.keys()
    for table, rows in content_before.items():
        assert after[table] == rows, table


def test_a_trigger_without_a_logical_date_loads_from_the_watermark_on(platform: Platform) -> None:
    """By hand: (watermark, run_after]. The scheduled day after it still finds every row of its own (see above)."""
    run, began = platform.by_hand, platform.triggered
    assert run and began and run.state == "success"
    low = datetime(2025, 10, 2, tzinfo=UTC)
    assert set(platform.marks.values()) == {low}
    for entry in platform.manifest.scheduled().layer("bronze"):
        events = [e for e in ledger.read(entry.name) if e.run_id == f"{DAG}/{run.run_id}" and e.event == "published"]
        (window,) = events[-1].windows
        assert window.low == low
        assert abs(window.high - began) < timedelta(minutes=2)


def test_a_dag_written_by_hand_runs_every_operator(platform: Platform, airflow: Airflow) -> None:
    run = ends_green(airflow, "handwritten", deadline=300)
    types = {event.event for event in ledger.read("bronze.products") if event.run_id == f"handwritten/{run.run_id}"}
    assert {"started", "published"} <= types
    assert config.settings().home == platform.home
