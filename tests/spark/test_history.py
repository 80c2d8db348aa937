"""What a day touches: the same files beside little history and beside ten times as much, and none without a change."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse import paths
from lakehouse.config import PROJECT, settings
from lakehouse.contracts import load_contract
from lakehouse.delta import Branch, diff, fast_forward, latest_version, open_branch, table_sql
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.spec import table_spec
from lakehouse.pipeline.transform import compute
from lakehouse.transform.apply import TransformFailed

TABLES = PROJECT / "bench" / "tables"
COMPUTED = ("gold.dim_member", "silver.purchases", "gold.fact_purchases")
START = datetime(2025, 1, 1, tzinfo=UTC)
MEMBERS, PURCHASES, MOVES = 200, 200, 5

#: Purchases of days {low} to {high}, and of each ten of the day before one that is paid.
BOUGHT = f"""SELECT purchase_id, at + make_dt_interval(later) AS changed_at, at AS purchased_at,
  pmod(hash(purchase_id), {MEMBERS}) AS member_id, CAST(purchase_id % 100 AS DECIMAL(18, 2)) AS amount,
  IF(later = 0, 'placed', 'paid') AS state, xxhash64(purchase_id, later) AS _row_hash
FROM (SELECT id AS purchase_id, later, TIMESTAMP'2025-01-01' + make_dt_interval(0, 0, 0, id * 86400 / {PURCHASES}) AS at
  FROM range({{high}} * {PURCHASES}) CROSS JOIN (SELECT explode(array(0, 1)) AS later))
WHERE (later = 0 AND purchase_id >= {{low}} * {PURCHASES}) OR (later = 1 AND purchase_id % 10 = 0
  AND purchase_id >= ({{low}} - 1) * {PURCHASES} AND purchase_id < ({{high}} - 1) * {PURCHASES})"""
#: All members on day 0, and a few moves a day.
MOVED = f"""SELECT member_id, changed_at, concat('member ', member_id) AS name, 'vip' AS segment,
  concat('city ', n) AS city, FALSE AS is_deleted, xxhash64(member_id, n) AS _row_hash
FROM (SELECT id AS n, id AS member_id, TIMESTAMP'2025-01-01' AS changed_at FROM range(IF({{low}} = 0, {MEMBERS}, 0))
  UNION ALL SELECT id AS n, pmod(hash(id), {MEMBERS}),
    TIMESTAMP'2025-01-01 01:00:00' + make_dt_interval(0, 0, 0, id * 86400 / {MOVES})
  FROM range({{low}} * {MOVES}, {{high}} * {MOVES}))"""


@pytest.fixture(autouse=True)
def always_by_increments(monkeypatch: pytest.MonkeyPatch, connect_server: str) -> None:
    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", connect_server)
    monkeypatch.setenv("LAKEHOUSE_INCREMENTS_FROM", "0")


def at(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(home))
    settings.cache_clear()


def arrive(spark: Any, low: int, high: int) -> None:
    """Publish what the days from `low` to before `high` bring, to both bronze tables."""
    for name, query in (("members", MOVED), ("purchases", BOUGHT)):
        path, spec = paths.table(f"bronze.{name}"), table_spec(load_contract(TABLES / "bronze" / name))
        branch = open_branch(path, f"{path}/_branch/days{low}/1", spec, "append")
        spark.sql(query.format(low=low, high=high)).createOrReplaceTempView("days")
        names = ", ".join(spark.table("days").columns)
        spark.sql(f"INSERT INTO {table_sql(branch.path)} ({names}) SELECT * FROM days").collect()
        fast_forward(branch, f"days{low}", 1, {})


def run(contract: Any, number: int) -> None:
    batch = compute(contract, Run(f"run{number}", "scheduled", end=START + timedelta(days=number)))
    if batch.branch:
        batch = replace(batch, audited=diff(Branch.from_json(batch.branch)).fingerprint)
    publish([batch], lambda batch, candidates: pytest.fail("conflict"))


def rewritten(name: str) -> dict[str, list[int]]:
    """Sizes of the files that the last commit of a table took away, and of those it put in their place."""
    path = paths.table(name)
    found: dict[str, list[int]] = {"remove": [], "add": []}
    for line in (Path(path) / "_delta_log" / f"{latest_version(path):020}.json").read_text().splitlines():
        for kind, content in json.loads(line).items():
            if kind in found:
                found[kind].append(content["size"])
    return found


@pytest.mark.long(90)
def test_a_day_rewrites_the_same_beside_ten_times_the_history(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost: list[dict[str, dict[str, list[int]]]] = []
    for days in (3, 30):
        at(tmp_path / str(days), monkeypatch)
        for low, high in ((0, days), (days, days + 1)):
            arrive(spark, low, high)
            for name in COMPUTED:
                run(load_contract(TABLES / name.replace(".", "/")), high)
        cost.append({name: rewritten(name) for name in COMPUTED})
    once, tenfold = cost
    for name in COMPUTED:
        for kind, sizes in once[name].items():
            assert len(sizes) == len(tenfold[name][kind]), (name, kind, once, tenfold)
            assert sum(tenfold[name][kind]) <= 1.25 * sum(sizes), (name, kind, once, tenfold)
    # The day before, for what was paid, and the current versions; never what is older or closed.
    assert [len(once[name]["remove"]) for name in COMPUTED] == [1, 1, 1]


@pytest.mark.long(20)
def test_rows_that_come_twice_are_refused_even_where_one_is_as_it_was(
    spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(tmp_path / "home", monkeypatch)
    folder = shutil.copytree(TABLES / "silver" / "purchases", tmp_path / "silver" / "purchases")
    arrive(spark, 0, 1)
    run(load_contract(folder), 1)
    file = folder / "transform.sql"
    file.write_text(
        file.read_text()
        + "UNION ALL SELECT purchase_id, purchased_at, member_id, amount, 'doubled' AS state, DATE'2025-01-01' "
        "AS purchase_date FROM bronze.purchases WHERE purchase_id = 7\n"
    )
    with pytest.raises(TransformFailed, match="several rows for one purchase_id"):
        run(load_contract(folder), 2)
