"""Every step of a real load says what it measured, once, also when the load is run again."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from lakehouse.config import settings
from lakehouse.quality import GateFailed
from tests.integration.conftest import Lakehouse
from tests.integration.test_pipeline import LATEST, SILVER, put, things

__all__ = ["things"]

SMALL = "- {name: small, type: custom, engine: sparkSql, implementation: amount < 100, severity: critical}"


def measured() -> list[dict[str, Any]]:
    text = (settings().home / "metrics" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.long(35)
def test_a_load_tells_its_numbers_and_a_held_one_its_failures(things: Lakehouse) -> None:
    things.table("silver.things", SILVER, "- {property: strategy, value: merge}", LATEST, rules=SMALL)
    put(things, (1, "2025-10-01 10:00:00", 5, "a"), (2, "2025-10-01 10:00:00", 500, "b"), (3, "2025-10-01", -1, "c"))
    with pytest.raises(GateFailed):
        things.run("*", "2025-10-01", "2025-10-02")
    found = {(line["table"], line["metric"]): line["value"] for line in measured()}
    assert found["bronze.things", "records_processed_total"] == 3
    assert found["bronze.things", "quarantined_total"] == 1
    assert found["bronze.things", "dq_critical_failures"] == 0
    assert found["bronze.things", "latency_seconds"] > 0
    assert found["bronze.things", "watermark_lag_seconds"] > 86400
    assert found["silver.things", "dq_critical_failures"] == 1
    assert ("silver.things", "records_processed_total") not in found
    with pytest.raises(GateFailed):
        things.run("*", "2025-10-01", "2025-10-02")
    counted = Counter((line["table"], line["metric"]) for line in measured())
    # Loaded again by the same run: a load of its own, of rows that are all known.
    assert counted["bronze.things", "records_processed_total"] == 2
    assert counted["silver.things", "dq_critical_failures"] == 2
