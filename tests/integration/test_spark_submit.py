"""The same tables on a standalone cluster of two workers, the lake on S3, as on the local server with the lake on disk.

Bronze is landed by the local mode; the job is submitted from the package, and all it has is the archive and settings.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse import aws, connections, paths
from lakehouse.config import PROJECT
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import latest_version, store
from lakehouse.jobs import order, submit, work
from lakehouse.jobs.order import Order, OrderWrong
from lakehouse.jobs.package import build
from lakehouse.manifest import load
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.extract import extract
from lakehouse.pipeline.gate import gate
from lakehouse.pipeline.publish import publish
from lakehouse.spark.jars import resolve_jars, spark_home
from lakehouse.spark.server import FEW_CORES, SMALL_DATA_CONF, s3a_conf
from tests.integration.conftest import Lakehouse, lake_at
from tests.shop import CONFIG, Sources, adopt
from tests.spark_cluster import SMALL, cluster, environment

BUCKET = "cluster-lake"
BRONZE = ("bronze.products", "bronze.customers", "bronze.behavior_events")
#: Two dimensions with their histories, a fact that joins both as of the event, what they need; dim_date comes along.
COMPUTED = ("silver.products", "silver.behavior_events", "gold.dim_customer", "gold.dim_product", "gold.fact_behavior")
ALL = (*COMPUTED, "gold.dim_date")
RUN = Run("cluster/1", "manual", end=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def landed(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """A day of the shop in bronze, and of customers a second, for their histories."""
    home = tmp_path_factory.mktemp("cluster")
    sources = Sources(stand_ins, home / "sent")
    with lake_at(home, stand_ins) as lake:
        sources.clear()
        adopt(lake.tables, *BRONZE, "bronze.shop_events", *ALL)
        # Customers of silver have three sources more; a rule that only warns is not worth their loads.
        events = lake.tables / "silver/behavior_events/contract.odcs.yaml"
        text = events.read_text()
        start = text.index("        relationships:\n          - to: ../customers")
        events.write_text(text[:start] + text[text.index("      - name: product_id", start) :])
        for day, tables in ((1, BRONZE), (2, ("bronze.customers",))):
            sources.live(day, files=False)
            low, high = (moment.isoformat() for moment in CONFIG.window(day))
            lake.run(" ".join(tables), low, high)
        yield lake
        sources.clear()


@pytest.fixture(scope="module")
def on_s3(landed: Lakehouse) -> str:
    """A copy of the lake as it is now, bronze alone, in a bucket."""
    with closing(connections.open_source(aws.CONNECTION)) as s3:
        region = aws.access().region
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=BUCKET, **place)
    root, lake = Path(paths.lake()), f"s3a://{BUCKET}/lake"
    for file in root.rglob("*"):
        if file.is_file():
            store.replace(f"{lake}/{file.relative_to(root)}", file.read_bytes())
    return lake


def rows(lake: str, name: str) -> list[dict[str, Any]]:
    """Rows of a published table, operational columns aside."""
    from deltalake import DeltaTable

    address, options = store.delta_rs(f"{lake}/{name.replace('.', '/')}")
    table = DeltaTable(address, storage_options=options).to_pyarrow_table()
    names = [n for n in table.column_names if not n.startswith("_")]
    return sorted(table.select(names).to_pylist(), key=str)


def contract(name: str) -> Contract:
    return load_contract(paths.contract_folder(name))


@pytest.mark.timeout(900)
def test_a_cluster_publishes_what_the_local_mode_publishes(landed: Lakehouse, on_s3: str, tmp_path: Path):
    config = tmp_path / "config"
    config.mkdir()
    told = yaml.safe_load((PROJECT / "include/config/local.yaml").read_text())
    (config / "cluster.yaml").write_text(yaml.safe_dump({**told, "lake": on_s3}))
    placed = submit.placed(build(landed.tables, config).write(str(tmp_path / "package"))["manifest"])
    reached = aws.access()
    place = f"{on_s3}/_jobs/1"
    asked = Order(COMPUTED, RUN, "publish", place, "cluster", str(tmp_path / "home"))
    # The machines have the keys, as by a role: they are in no argument, setting or file.
    env = {**environment(tmp_path / "cluster"), **reached.environment()}
    env |= {
        "AIRFLOW_CONN_AWS_DEFAULT": os.environ["AIRFLOW_CONN_AWS_DEFAULT"],
        "LAKEHOUSE_CACHE": str(tmp_path / "cache"),
    }
    more = {**SMALL, **FEW_CORES, **SMALL_DATA_CONF, **s3a_conf(reached)}
    more["spark.jars"] = ",".join(f"local:{jar}" for jar in resolve_jars())
    with cluster(tmp_path / "cluster", env=env) as master:
        arguments = submit.spark_submit(placed, asked, master, more)
        assert reached.secret and reached.secret not in str(arguments)
        argv = [str(spark_home() / "bin" / "spark-submit"), *arguments]
        ran = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    report = order.read_report(place)
    assert report["package"] == Path(placed.archive).stem
    assert report["application"]["master"] == master
    assert report["application"]["id"].startswith("app-")
    assert {batch["table"] for batch in report["batches"]} == set(ALL)
    # Both workers had executors of it.
    executors = [{file.parts[-2] for file in (tmp_path / f"cluster/worker{n}").glob("app-*/*/stderr")} for n in (0, 1)]
    assert all(executors), executors
    assert reached.secret not in ran.stdout + ran.stderr

    landed.run_as(" ".join(COMPUTED), RUN)
    local = {name: rows(paths.lake(), name) for name in ALL}
    assert {name: rows(on_s3, name) for name in ALL} == local
    # There is something to compare: histories, and events that found their members.
    members = Counter(row["customer_id"] for row in local["gold.dim_customer"])
    assert max(members.values()) > 1
    assert len(local["gold.fact_behavior"]) > 100
    assert len({row["customer_sk"] for row in local["gold.fact_behavior"]}) > 10


def test_a_job_of_transforms_hands_back_batches_that_tasks_publish(
    lakehouse: Lakehouse, stand_ins: Path, tmp_path: Path
):
    """What the operators do around a job: extract, give, and take its batches to gate and publish."""
    sources = Sources(stand_ins, tmp_path / "sent")
    sources.clear()
    adopt(lakehouse.tables, "bronze.products", "silver.products")
    sources.live(1, files=False)
    place = paths.job("one")
    asked = Order(("bronze.products",), RUN, folder=place)
    with pytest.raises(OrderWrong, match=r"bronze.products: no extract's batch"):
        work.do(asked)
    bronze, connection = "bronze.products", load()["bronze.products"].connection

    def take(batches: list[Any]) -> None:
        for batch in batches:
            publish([gate(contract(batch.table), batch, {})], lambda *_: pytest.fail("nobody came between"))

    landed = extract(contract(bronze), RUN, lambda: connections.open_source(connection), lambda: b"key")
    order.give(place, [landed])
    take(work.do(asked))
    take(work.do(Order(("silver.products",), RUN)))
    assert latest_version(paths.table("bronze.products")) >= 0
    assert len(lakehouse.rows("silver.products")) > 10
    sources.clear()
