"""Metrics: what each step says, the sinks in files, and that no load fails for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
import structlog

from lakehouse import metrics
from lakehouse.metrics import METRICS, Sample, measures
from lakehouse.metrics.jsonl import JsonLines
from lakehouse.metrics.prometheus import PrometheusFile
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.quality.result import GateResult, RuleResult
from lakehouse.sections import Price

AT = datetime(2025, 10, 1, tzinfo=UTC)


def batch(**counts):
    started = datetime.now(UTC) - timedelta(seconds=90)
    return Batch("bronze.orders", "b", 1, "a", Run("r", "scheduled", AT), started, counts=counts)


def told(samples):
    return {sample.name: sample.value for sample in samples}


def test_a_published_load_tells_rows_time_and_cost(monkeypatch):
    settings = type("S", (), {"metrics": type("M", (), {"price": Price(vcpus=2, vcpu_hour_usd=0.5)})})
    monkeypatch.setattr(measures, "settings", lambda: settings)
    done = batch(extracted=10, inserted=6, quarantined=3).held_spark(1800).held_spark(1800)
    found = told(measures.published(done))
    assert (found["records_processed_total"], found["quarantined_total"]) == (10, 3)
    assert found["cost_estimate_usd"] == 1.0
    assert found["latency_seconds"] == pytest.approx(90, abs=5)
    assert Batch.from_dict(done.to_dict()) == done
    assert told(measures.loaded(batch(inserted=2, updated=3, deleted=1)))["records_processed_total"] == 6


def test_a_gate_tells_critical_failures_only():
    rules = [("critical", False), ("critical", True), ("warning", False)]
    results = tuple(RuleResult(f"r{n}", "row", s, ok, 0, "", "") for n, (s, ok) in enumerate(rules))
    assert told(measures.gated(GateResult("bronze.orders", "b", "r", False, results, 1.0))) == {
        "dq_critical_failures": 1
    }
    assert told(measures.gated(GateResult("bronze.orders", "b", "r", True, (), 1.0))) == {"dq_critical_failures": 0}


def test_lines_are_appended(tmp_path):
    sink = JsonLines(str(tmp_path / "deep" / "metrics.jsonl"))
    sink.send([Sample("latency_seconds", "bronze.orders", 1.5, AT)])
    sink.send([Sample("quarantined_total", "bronze.orders", 2, AT)])
    first, second = map(json.loads, (tmp_path / "deep" / "metrics.jsonl").read_text().splitlines())
    assert first == {
        "metric": "latency_seconds", "table": "bronze.orders", "value": 1.5, "unit": "seconds", "at": AT.isoformat(),
    }  # fmt: skip
    assert second["unit"] == "rows"


def test_a_prometheus_file_counts_and_replaces(tmp_path):
    sink = PrometheusFile(str(tmp_path / "lakehouse.prom"), "Lakehouse")
    sink.send([Sample("quarantined_total", "bronze.orders", 2), Sample("freshness_seconds", "bronze.orders", 50)])
    sink.send([Sample("quarantined_total", "bronze.orders", 3), Sample("freshness_seconds", "bronze.orders", 7)])
    sink.send([Sample("quarantined_total", "silver.orders", 1)])
    lines = (tmp_path / "lakehouse.prom").read_text().splitlines()
    assert 'lakehouse_quarantined_total{table="bronze.orders"} 5.0' in lines
    assert 'lakehouse_quarantined_total{table="silver.orders"} 1.0' in lines
    assert [line for line in lines if line.startswith("lakehouse_freshness")] == [
        'lakehouse_freshness_seconds{table="bronze.orders"} 7.0'
    ]
    assert "# TYPE lakehouse_quarantined_total counter" in lines
    assert "# TYPE lakehouse_freshness_seconds gauge" in lines


def test_no_count_is_lost_among_writers(tmp_path):
    sink = PrometheusFile(str(tmp_path / "lakehouse.prom"), "lakehouse")
    one = [Sample("records_processed_total", "bronze.orders", 1)]
    writers = [Thread(target=lambda: [sink.send(one) for _ in range(20)]) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert 'lakehouse_records_processed_total{table="bronze.orders"} 80.0' in sink.path.read_text()


class Broken:
    def send(self, samples):
        raise ConnectionError("secret-address")


class Kept:
    def __init__(self):
        self.samples = []

    def send(self, samples):
        self.samples += samples


def test_a_sink_that_fails_is_told_once_and_stops_nothing(monkeypatch):
    kept = Kept()
    monkeypatch.setattr(metrics, "sinks", lambda: [("cloudwatch", Broken()), ("jsonl", kept)])
    monkeypatch.setattr(metrics, "_complained", set())
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            metrics.emit(lambda: [Sample("latency_seconds", "bronze.orders", 1)])
        metrics.emit(lambda: 1 / 0)
    assert len(kept.samples) == 3
    assert [(line["sink"], line["error"]) for line in logs] == [
        ("cloudwatch", "ConnectionError"),
        ("measure", "ZeroDivisionError"),
    ]
    assert "secret-address" not in str(logs)


def test_every_metric_is_explained():
    assert set(METRICS) >= {
        "records_processed_total", "dq_critical_failures", "latency_seconds", "cost_estimate_usd", "quarantined_total",
        "watermark_lag_seconds", "freshness_seconds",
    }  # fmt: skip
    assert all(metric.help.endswith(".") for metric in METRICS.values())


def test_age_and_lag_are_told_by_the_clock(monkeypatch):
    from lakehouse.freshness import Freshness

    monkeypatch.setattr("lakehouse.paths.contract_folder", lambda name: name)
    monkeypatch.setattr("lakehouse.contracts.load_contract", lambda folder: folder)
    ages = {"bronze.orders": Freshness("stale", AT, timedelta(hours=30), timedelta(hours=26))}
    unknown = Freshness("unknown", None, None, None)
    monkeypatch.setattr("lakehouse.freshness.freshness", lambda contract, at: ages.get(contract, unknown))
    assert told(measures.aged("bronze.orders")) == {"freshness_seconds": 30 * 3600}
    assert told(measures.aged("gold.dim_date")) == {}
    contract = type("C", (), {"name": "bronze.orders"})
    lag = told(measures.lagged(contract, datetime.now(UTC) - timedelta(hours=2)))["watermark_lag_seconds"]
    assert lag == pytest.approx(7200, abs=5)
