"""The committed log of the chaos run is whole, long enough, and every day of it ended as the quiet one."""

from __future__ import annotations

import json
from pathlib import Path

LOG = Path(__file__).parents[2] / "docs" / "chaos.jsonl"


def test_the_log_tells_of_an_hour_that_ended_well() -> None:
    events = [json.loads(line) for line in LOG.read_text().splitlines()]
    first, last = events[0], events[-1]
    assert (first["event"], last["event"]) == ("chaos", "over")
    assert first["minutes"] >= 60
    assert float(last["at"]) >= 60 * first["minutes"]
    compared = [event for event in events if event["event"] == "compared"]
    assert [event["day"] for event in compared] == list(range(1, last["days"] + 1))
    assert all(event["different"] == {} for event in compared)
    ends = [event for event in events if event["event"] == "end"]
    for kind in ("daily", "optimize", "replay", "backfill", "backfill from source"):
        assert any(event["job"] == kind and event["code"] == 0 for event in ends), kind
    assert sum(event["code"] < 0 for event in ends) > 10
    assert last["Spark killed"] == sum(event["event"] == "kill" for event in events) > 2
