"""From contracts to alarms: what of a table's metrics somebody should be told of, and when.

Silence is a fault where something should have come: freshness and watermark lag count hours without a number as bad.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from lakehouse.config import settings
from lakehouse.contracts.model import Contract
from lakehouse.freshness import promise
from lakehouse.metrics.cloudwatch import dimensions
from lakehouse.provision.kinds import OWNER, Body
from lakehouse.sections import Alarms, Target

#: CloudWatch looks back a week at most, in periods of an hour or more.
_HOUR, _MOST_HOURS = 3600, 168
#: Of numbers that come with a load.
_PERIOD = 300


def alarms(target: Target, told: Alarms, contracts: Iterable[Contract], topic: str) -> dict[str, Body]:
    """{name: alarm} of every table; `topic` is the ARN that they are told to."""
    found: dict[str, Body] = {}
    for contract in contracts:
        for metric, alarm in _of_table(told, contract).items():
            found[f"{target.owner}: {contract.name}: {metric}"] = {
                **alarm,
                "ActionsEnabled": True,
                "AlarmActions": [topic],
                # A number of one load is old news five minutes later: that is no "all is well" worth a mail.
                **({"OKActions": [topic]} if alarm["TreatMissingData"] == "breaching" else {}),
                "tags": {OWNER: target.owner, "table": contract.name},
            }
    return found


def _of_table(told: Alarms, contract: Contract) -> dict[str, dict[str, Any]]:
    latency = contract.latency.total_seconds() if contract.latency else told.latency_seconds
    found = {
        "dq_critical_failures": _over(contract, "dq_critical_failures", 1, at=True, runbook="dq_failover.md"),
        "latency_seconds": _over(contract, "latency_seconds", latency, runbook="stuck_run.md"),
    }
    promised = promise(contract)
    if promised:
        seconds = promised[1].total_seconds()
        found["freshness_seconds"] = _standing(contract, "freshness_seconds", seconds, "stale_table.md")
    if contract.source:
        lag = told.watermark_lag_seconds
        found["watermark_lag_seconds"] = _standing(contract, "watermark_lag_seconds", lag, "stale_table.md")
        if contract.quarantine_threshold:
            share = contract.quarantine_threshold * told.quarantine_share_of_threshold
            found["quarantine_share"] = _share(contract, share)
    return found


def _over(contract: Contract, metric: str, threshold: float, *, at: bool = False, runbook: str) -> dict[str, Any]:
    """One number of one load is too high. Loads that do not come are another alarm's business."""
    return {
        "AlarmDescription": _description(contract, f"{metric} {'>=' if at else '>'} {threshold:g}", runbook),
        "Namespace": settings().metrics.namespace,
        "MetricName": metric,
        "Dimensions": dimensions(contract.name),
        "Statistic": "Maximum",
        "Period": _PERIOD,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": float(threshold),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold" if at else "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def _standing(contract: Contract, metric: str, seconds: float, runbook: str) -> dict[str, Any]:
    """A number that is too high, or has not been told for as long as it may be high: each hour counts as bad."""
    period = _HOUR if seconds >= _HOUR else 60
    periods = min(max(math.ceil(seconds / period), 1), _MOST_HOURS)
    return {
        **_over(contract, metric, seconds, runbook=runbook),
        "AlarmDescription": _description(contract, f"{metric} > {seconds:g}, or untold for as long", runbook),
        "Statistic": "Minimum",
        "Period": period,
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": periods,
        "TreatMissingData": "breaching",
    }


def _share(contract: Contract, share: float) -> dict[str, Any]:
    """Quarantined rows among all rows of the loads of one period."""
    return {
        "AlarmDescription": _description(contract, f"quarantined share of rows > {share:g}", "quarantine.md"),
        "Metrics": [
            {"Id": "share", "Expression": "IF(records > 0, quarantined / records, 0)", "ReturnData": True},
            _sum("records", "records_processed_total", contract),
            _sum("quarantined", "quarantined_total", contract),
        ],
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": float(share),
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }


def _sum(name: str, metric: str, contract: Contract) -> dict[str, Any]:
    measured = {
        "Namespace": settings().metrics.namespace,
        "MetricName": metric,
        "Dimensions": dimensions(contract.name),
    }
    return {"Id": name, "MetricStat": {"Metric": measured, "Period": _PERIOD, "Stat": "Sum"}, "ReturnData": False}


def _description(contract: Contract, what: str, runbook: str) -> str:
    return f"{contract.name}: {what}. Owner: {contract.owner}. See runbooks/{runbook}"
