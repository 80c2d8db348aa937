"""The error lane on each store: the batch's rows as JSON lines, rewritten whole (CON-3)."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse import paths
from lakehouse.bronze.load import LoadStamp
from lakehouse.bronze.quarantine import _rewrite_lane
from lakehouse.config import PROJECT, settings
from lakehouse.contracts import load_contract
from lakehouse.delta import append_rows, store

CONTRACT = load_contract(PROJECT / "include" / "tables" / "bronze" / "products")
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)
BATCH = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
STAMP = LoadStamp(BATCH, 2, "a", "run", NOON, "2025-10-01", "0" * 32)


@pytest.fixture(autouse=True)
def lake(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKEHOUSE_LAKE", f"{root}/lake")
    settings.cache_clear()
    yield
    settings.cache_clear()


def set_aside(*rows: tuple[str, str, int, str]) -> None:
    """Rows of quarantine: their table, batch, load and landed JSON."""
    names = ("table", "batch_id", "load", "row")
    columns = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    reasons = [["price_in_range", "sku_pattern"]] * len(rows)
    append_rows(
        paths.ops("quarantine"),
        pa.table(
            {**columns, "reasons": reasons, "quarantined_ts": pa.array([NOON] * len(rows), pa.timestamp("us", "UTC"))}
        ),
        partition_by=["table"],
    )


def lane() -> list[dict[str, Any]]:
    """What the lane holds, after its whole path was looked at."""
    folder = f"{paths.lake()}/_errors/bronze/products/dt=2025-10-01/run_id={BATCH}"
    assert [name for name in store.names(folder) if not name.startswith(".")] == ["part-00000.json"]
    return [json.loads(line) for line in store.read(f"{folder}/part-00000.json").decode().splitlines()]


def test_it_holds_all_rows_of_its_batch_and_no_others() -> None:
    name, hostile = CONTRACT.name, json.dumps({"sku": 'ü"\n\u2028\\'})
    set_aside((name, BATCH, 1, "{}"), (name, BATCH, 2, hostile), (name, "other", 2, "{}"), ("bronze.x", BATCH, 2, "{}"))
    assert _rewrite_lane(CONTRACT, STAMP) == 1
    assert [(row["load"], row["row"]) for row in sorted(lane(), key=lambda row: row["load"])] == [
        (1, "{}"),
        (2, hostile),
    ]
    assert lane()[0]["reasons"] == ["price_in_range", "sku_pattern"]
    set_aside(*[(name, BATCH, 2, json.dumps({"n": n})) for n in range(3000)])
    assert _rewrite_lane(CONTRACT, STAMP) == 3001
    assert len(lane()) == 3002


def _die(point: str) -> None:
    os.environ["LAKEHOUSE_KILL_POINT"] = point
    _rewrite_lane(CONTRACT, STAMP)


def test_who_dies_after_it_leaves_it_whole() -> None:
    set_aside((CONTRACT.name, BATCH, 2, "{}"))
    # Not forked: delta-rs has threads by now.
    killed = multiprocessing.get_context("spawn").Process(target=_die, args=("quarantine.lane",))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert len(lane()) == 1
