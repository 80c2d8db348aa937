"""CloudWatch alarms. Their names begin with the owner, and they carry its tag."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lakehouse.provision.calls import call, pages
from lakehouse.provision.kinds import OWNER, Body, Found, Kind, merged

#: What we say of an alarm. Another field that somebody set goes when we write it, for alarms are written whole.
_FIELDS = (
    "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "Namespace", "MetricName", "Dimensions",
    "Statistic", "Period", "Metrics", "EvaluationPeriods", "DatapointsToAlarm", "Threshold", "ComparisonOperator",
    "TreatMissingData",
)  # fmt: skip


class MetricAlarms(Kind):
    """Key: the alarm's name. Body: the fields of PutMetricAlarm, and tags."""

    name = "alarm"

    def __init__(self, owner: str) -> None:
        """`owner` is the value of the owner tag."""
        self.owner = owner

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """One call, and one more an alarm for its tags."""
        told = pages(
            "cloudwatch", "describe_alarms", "MetricAlarms", "alarms",
            AlarmNamePrefix=f"{self.owner}: ", AlarmTypes=["MetricAlarm"],
        )  # fmt: skip
        found = {raw["AlarmName"]: self._found(raw) for raw in told}
        return {name: one for name, one in found.items() if name in keys or (whole and one.ours)}

    def _found(self, raw: Mapping[str, Any]) -> Found:
        name = f"tags of alarm {raw['AlarmName']}"
        told = call("cloudwatch", "list_tags_for_resource", name, ResourceARN=raw["AlarmArn"])
        tags = {tag["Key"]: tag["Value"] for tag in told.get("Tags") or ()}
        body = {field: _plain(raw[field]) for field in _FIELDS if raw.get(field) not in (None, [], "")}
        return Found({**body, "tags": tags}, tags.get(OWNER) == self.owner, raw)

    def merge(self, live: Body, wanted: Body) -> Body:
        """Alarms are written whole; only tags of others are kept."""
        return {**wanted, "tags": merged(live["tags"], wanted["tags"])}

    def create(self, key: str, body: Body) -> None:
        """One call, tags included; putting it again changes nothing."""
        call("cloudwatch", "put_metric_alarm", f"alarm {key}", AlarmName=key, **_fields(body), Tags=_tags(body))

    def update(self, key: str, body: Body, found: Found) -> None:
        """Tags are taken at the creation only, so they are put by themselves."""
        call("cloudwatch", "put_metric_alarm", f"alarm {key}", AlarmName=key, **_fields(body))
        if body["tags"] != found.body["tags"]:
            arn = found.raw["AlarmArn"]
            call("cloudwatch", "tag_resource", f"tags of alarm {key}", ResourceARN=arn, Tags=_tags(body))

    def delete(self, key: str, found: Found) -> None:
        """Well too where it is gone."""
        call("cloudwatch", "delete_alarms", f"alarm {key}", AlarmNames=[key])


def _fields(body: Body) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "tags"}


def _tags(body: Body) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in body["tags"].items()]


def _plain(value: Any) -> Any:
    """Without what is empty, dimensions in order: as we write it."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items() if part not in (None, [], "")}
    if isinstance(value, list):
        plain = [_plain(part) for part in value]
        named = all(isinstance(part, dict) and "Name" in part for part in plain)
        return sorted(plain, key=lambda part: str(part["Name"])) if named else plain
    return value
