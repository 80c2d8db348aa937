"""Metrics in CloudWatch, by the dimensions that alarms look at; an endpoint that is gone costs seconds, not loads."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import structlog

from lakehouse import metrics
from lakehouse.metrics import Sample


def test_numbers_arrive_where_the_alarms_look(account):
    account.apply()
    metrics.emit(lambda: [Sample("dq_critical_failures", "bronze.customers", 2)])
    watch, now = account.client("cloudwatch"), datetime.now(UTC)
    (alarm,) = watch.describe_alarms(AlarmNames=[f"{account.owner}: bronze.customers: dq_critical_failures"])[
        "MetricAlarms"
    ]
    told = watch.get_metric_statistics(
        **{key: alarm[key] for key in ("Namespace", "MetricName", "Dimensions", "Period")},
        StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1), Statistics=[alarm["Statistic"]],
    )  # fmt: skip
    (point,) = told["Datapoints"]
    assert point[alarm["Statistic"]] >= alarm["Threshold"]


def test_an_endpoint_that_is_gone_is_told_once(account, monkeypatch):
    gone = {"conn_type": "aws", "login": "t", "password": "p", "extra": {"endpoint_url": "http://127.0.0.1:9"}}
    gone["extra"]["region_name"] = "eu-west-1"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(gone))
    monkeypatch.setattr(metrics, "_complained", set())
    began = time.monotonic()
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            metrics.emit(lambda: [Sample("latency_seconds", "bronze.customers", 1)])
    assert [(line["sink"], line["error"]) for line in logs] == [("cloudwatch", "EndpointConnectionError")]
    assert time.monotonic() - began < 20
