"""How tables lie in files, as `lakehouse status` tells: from contract and log, without Spark."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse import paths
from lakehouse.cli.main import app
from lakehouse.config import settings
from lakehouse.delta import TableStats, table_stats
from lakehouse.status import file_sizes
from tests.deltas import Lake

MIB = 1 << 20


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """silver.orders with two files, in a lake of its own, and nobody who could open a Spark session."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", "")
    settings.cache_clear()
    found = Lake(paths.table("silver.orders"))
    found.seed(1)
    found.publish(found.append((2, "b")))
    yield found
    settings.cache_clear()


def test_layout_and_sizes_are_told_of_every_table(lake: Lake):
    told = json.loads(CliRunner().invoke(app, ["status", "--output", "json"]).stdout)
    orders = next(row for row in told if row["table"] == "silver.orders")
    files = sorted(p.stat().st_size for p in Path(lake.path).rglob("*.parquet") if "_delta_log" not in p.parts)
    assert len(files) == 2
    assert (orders["files"], orders["bytes"], orders["median_file"]) == (2, sum(files), files[1])
    assert (orders["layout"], orders["target_file"]) == ("zorder customer_id, order_date", 256 * MIB)
    assert orders["file_sizes"] == "one would do"
    absent = next(row for row in told if row["table"] == "bronze.orders")
    assert (absent["files"], absent["median_file"], absent["file_sizes"]) == (0, 0, "none")


def test_people_see_sizes_with_a_unit(lake: Lake):
    lines = CliRunner().invoke(app, ["status", "--layout"]).stdout.splitlines()
    (orders,) = [line for line in lines if "silver.orders " in line]
    assert "256 MiB" in orders
    assert "KiB" in orders
    assert "one would do" in orders


@pytest.mark.parametrize(
    ("files", "median", "found"),
    [
        (0, 0, "none"),
        (1, 900 * MIB, "well"),
        (2, 128 * MIB, "one would do"),
        (3, 127 * MIB, "small"),
        (3, 128 * MIB, "well"),
        (3, 512 * MIB, "well"),
        (3, 513 * MIB, "large"),
    ],
)
def test_files_are_held_against_the_target(files: int, median: int, found: str):
    assert file_sizes(TableStats(1, 9, files, files * median, median), 256 * MIB) == found


def test_the_median_is_that_of_the_files_in_force(lake: Lake):
    lake.publish(lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE"), "optimize", 9, expected=None)
    stats = table_stats(lake.path)
    assert (stats.files, stats.median) == (1, stats.bytes)
