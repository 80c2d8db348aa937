"""Publish and watermark say what they measured: a load once, whoever publishes it again; and never stop for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from lakehouse import metrics, paths
from lakehouse.config import settings
from lakehouse.delta import latest_version
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.watermark import advance_watermark
from tests.engine.test_watermarks import TABLE, day, load, orders, run, stored

__all__ = ["orders"]


def measured() -> list[tuple[str, str, float]]:
    text = (settings().home / "metrics" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [(line["metric"], line["table"], line["value"]) for line in lines]


def values(name: str) -> list[float]:
    return [value for metric, table, value in measured() if (metric, table) == (name, TABLE)]


def test_a_load_is_counted_once_whoever_publishes_it_again(orders: Any) -> None:
    done = load(0, 1, rows=True)
    assert values("records_processed_total") == [1]
    assert values("quarantined_total") == [0]
    assert len(values("latency_seconds")) == 1
    again = replace(done, counts={"extracted": 1, "inserted": 1})
    publish([again], lambda batch, candidates: batch)
    load(1, 2)
    assert values("records_processed_total") == [1, 0]


def test_lag_is_told_with_the_watermark(orders: Any) -> None:
    advance_watermark(orders, load(0, 5))
    (lag,) = values("watermark_lag_seconds")
    rows = json.loads(run("metrics", "--send", "--output", "json"))
    assert [row["metric"] for row in rows if row["table"] == TABLE] == ["watermark_lag_seconds"]
    assert 0 <= values("watermark_lag_seconds")[1] - lag < 60


def test_a_load_goes_on_where_nothing_can_be_measured(orders: Any, monkeypatch: Any) -> None:
    def broken() -> Any:
        raise OSError("no such host")

    monkeypatch.setattr(metrics, "_complained", set())
    monkeypatch.setattr(metrics, "sinks", lambda: [("cloudwatch", type("Gone", (), {"send": lambda *a: broken()})())])
    advance_watermark(orders, load(0, 3, rows=True))
    assert (latest_version(paths.table(TABLE)), stored()) == (0, day(3))
    lines = [json.loads(line) for line in (settings().home / "lakehouse.jsonl").read_text().splitlines()]
    assert [line["sink"] for line in lines if line["event"] == "metrics not sent"] == ["cloudwatch"]
