"""The lake on S3 is as the lake on a disk: landing files of every kind of source, quarantine and its error lane,
replays, books, retention; and every model, made by a cluster of two workers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse import aws, ledger, manifest, paths, quarantine
from lakehouse.books import books
from lakehouse.config import PROJECT
from lakehouse.delta import read_rows, revert, store
from lakehouse.ingest.landing import is_whole
from lakehouse.maintenance import expire_landing
from lakehouse.pipeline import replay as step
from lakehouse.pipeline.batch import Run
from lakehouse.sandbox import envfile
from tests.integration.conftest import lake_at
from tests.integration.test_pipeline import COLUMNS, RULES, SOURCE, put
from tests.integration.test_replay import quiet, run
from tests.shop import Sources
from tests.spark_cluster import published

__all__ = ["quiet"]

#: The shop's history and two days, in one load.
WINDOW = ("2025-10-01", "2025-10-03")
RUN = Run("s3/models", "manual", end=datetime(2025, 10, 3, tzinfo=UTC))
#: One table of each kind of source; the stream is in test_stream.
KINDS = (
    "bronze.orders",
    "bronze.behavior_events",
    "bronze.vendor_prices",
    "bronze.salesforce_contacts",
    "bronze.fx_rates",
)
#: What differs between two runs of the same.
OPERATIONAL = ("quarantined_ts", "trace_id", "run_id")


def without(rows: list[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    return sorted(({k: v for k, v in row.items() if k not in names} for row in rows), key=str)


def lanes() -> list[dict[str, Any]]:
    """Every line of every error lane."""
    top = f"{paths.lake()}/_errors"
    return [json.loads(line) for file in store.walk(top) for line in store.read(f"{top}/{file.name}").splitlines()]


@pytest.mark.long(65)
def test_a_table_goes_all_the_way_on_s3(stand_ins: Path, tmp_path: Path) -> None:
    """Landed, judged, set aside, published, replayed and forgotten; nothing of it lies on this machine."""
    with lake_at(tmp_path, stand_ins, "s3-steps") as lake:
        lake.table("bronze.things", COLUMNS, SOURCE % ("T_S3", "things_max_ts"), rules=RULES)
        lake.source = "T_S3"  # type: ignore[attr-defined]
        columns = "ID NUMBER(18,0), CHANGED TIMESTAMP_NTZ, AMOUNT NUMBER(18,2), WHO VARCHAR"
        lake.snowflake(f"CREATE OR REPLACE TABLE T_S3 ({columns})")
        put(lake, (1, "2025-10-01 01:00:00", 1, "ann@x.example"), (2, "2025-10-02 01:00:00", 2, "bob@x.example"))
        put(lake, (3, "2025-10-02 11:00:00", -3, "eve@x.example"))
        lake.run("bronze.things", "2025-10-01", "2025-10-02")
        (batch,) = lake.run("bronze.things", "2025-10-02", "2025-10-03")
        assert (batch.counts["inserted"], batch.counts["quarantined"]) == (1, 1)
        assert [json.loads(row["row"])["id"] for row in lanes()] == [3]
        landing = paths.landing("bronze.things", batch.batch_id, 1)
        assert is_whole(landing)
        for file in store.walk(paths.lake()):
            assert b"x.example" not in store.read(f"{paths.lake()}/{file.name}"), file.name
        revert(paths.table("bronze.things"), 1, {})
        assert [row["id"] for row in lake.rows("bronze.things")] == [1]
        (row,) = run("replay", "things", "--batch", batch.batch_id)
        assert (row["new"], [row["id"] for row in lake.rows("bronze.things")]) == (1, [1, 2])
        assert books("bronze.things").faults == ()
        late = datetime.now(UTC) + timedelta(days=91)
        assert expire_landing("bronze.things", at=late) == 2
        assert store.names(landing) == []
        with pytest.raises(step.LandingGone, match="load 1"):
            run("replay", "things", "--batch", batch.batch_id)
        assert not (tmp_path / "lake").exists()


@dataclass(frozen=True)
class Lakes:
    """The same two days of the shop, landed and loaded into every bronze table of two lakes."""

    stand_ins: Path
    disk: Path
    s3: Path

    def enter(self, which: str) -> Any:
        """Work in the lake on `disk`, or in that on `s3`."""
        return lake_at(getattr(self, which), self.stand_ins, "s3-days" if which == "s3" else "")


@pytest.fixture(scope="module")
def lakes(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakes]:
    top = tmp_path_factory.mktemp("lakes")
    found = Lakes(stand_ins, top / "disk", top / "s3")
    sources = Sources(stand_ins, top / "sent")
    with ExitStack() as last:
        for which in ("disk", "s3"):
            with found.enter(which) as lake:
                if which == "disk":
                    sources.clear()
                    sources.live(2)
                shutil.copytree(PROJECT / "include" / "tables", lake.tables)
                lake.run("bronze.*", *WINDOW)
        last.enter_context(found.enter("disk"))
        last.callback(sources.clear)
        yield found


def bronze() -> list[str]:
    return [entry.name for entry in manifest.load().scheduled().layer("bronze")]


@pytest.mark.long(180)
def test_bronze_of_every_source_is_the_same(lakes: Lakes) -> None:
    """Rows, quarantine, error lanes and books; batch ids follow from window and contract, so they are the same too."""
    told: dict[str, Any] = {}
    for which in ("disk", "s3"):
        with lakes.enter(which):
            told[which] = {
                "rows": {name: without(read_rows(paths.table(name)), "_ingest_ts") for name in bronze()},
                "quarantine": without(read_rows(paths.ops("quarantine")), *OPERATIONAL),
                "lanes": without(lanes(), *OPERATIONAL),
                "books": {
                    name: [(load.state, load.extracted, load.parts) for load in books(name).loads] for name in bronze()
                },
            }
            assert all(books(name).faults == () for name in bronze())
    assert told["s3"] == told["disk"]
    assert all(len(rows) > 3 for rows in told["s3"]["rows"].values())
    assert len(told["s3"]["lanes"]) > 20
    assert not (lakes.s3 / "lake").exists()


@pytest.mark.long(180)
@pytest.mark.parametrize("table", KINDS)
def test_a_load_of_every_kind_of_source_is_loaded_again_from_s3(lakes: Lakes, table: str) -> None:
    """ING-8, CON-4: every landed row is there, and none is new; what quarantine kept stays there."""
    with lakes.enter("s3") as lake:
        before = lake.rows(table)
        (event,) = [e for e in ledger.read(table) if e.event == "published" and e.kind == "scheduled"]
        (row,) = run("replay", table, "--batch", event.batch_id)
        again = row["duplicates"] + row["quarantined"]
        assert (row["new"], again, lake.rows(table)) == (0, event.counts["extracted"], before)
        aside = quarantine.kept(quarantine.Choice(table))
        assert aside
        (row,) = run("quarantine", "replay", "--table", table.partition(".")[2])
        assert (row["new"], row["quarantined"]) == (0, len(aside))
        assert books(table).faults == ()


@pytest.mark.long(300)
@pytest.mark.timeout(900)
def test_every_model_of_a_cluster_is_as_the_servers(lakes: Lakes, tmp_path: Path) -> None:
    """Silver and gold, facts included: two workers, the lake on S3; and the local server, the lake on a disk."""
    with lakes.enter("disk") as lake:
        entries = manifest.load().entries
        names = [entry.name for entry in entries if entry.layer != "bronze"]
        lake.run_as("silver.* gold.*", RUN)
        expected = {name: lake.rows(name) for name in names}
    known = envfile.read(envfile.path(lakes.stand_ins))[f"AIRFLOW_CONN_{aws.CONNECTION.upper()}"]
    with lakes.enter("s3") as lake:
        report = published(tmp_path / "cluster", lake.tables, paths.lake(), names, RUN, known, timeout=800)
        assert {batch["table"] for batch in report["batches"]} == set(names)
        for name in names:
            assert lake.rows(name) == expected[name], name
    assert min(map(len, expected.values())) > 0
    assert len(expected["gold.fact_sales"]) > 100
