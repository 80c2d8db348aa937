"""Two tables of the daily run on a standalone cluster of two workers, the lake on S3, as on the server of the tests.

Latest states and SCD2.
"""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable, write_deltalake

from lakehouse import aws
from lakehouse.config import PROJECT, settings
from lakehouse.contracts import load_contract
from lakehouse.delta import create_table, store
from lakehouse.jobs import order, submit
from lakehouse.jobs.order import Order
from lakehouse.jobs.package import build
from lakehouse.manifest import load
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.run import run_tables
from lakehouse.pipeline.spec import table_spec
from lakehouse.spark.jars import resolve_jars, spark_home
from lakehouse.spark.server import FEW_CORES, SMALL_DATA_CONF, s3a_conf
from tests.shop import adopt
from tests.spark_cluster import SMALL, cluster, environment
from tests.stores import aws_connection, aws_endpoint, s3

__all__ = ["aws_endpoint", "s3"]
COMPUTED = ("silver.products", "gold.dim_product")
RUN = Run("cluster/1", "manual", end=datetime(2026, 1, 1, tzinfo=UTC))
FIRST = datetime(2025, 10, 1, tzinfo=UTC)


def changes() -> list[dict[str, Any]]:
    """What a source said of 30 products: prices that change each day, some that stay, some deleted, one back again."""
    rows = []
    for day in range(4):
        for product in range(1, 31):
            at = FIRST + timedelta(days=day, minutes=product)
            price = Decimal(product) + (day if product % 3 else 0)
            gone = (product % 10 == 0 and day == 2) or (product == 20 and day == 3)
            row = {"product_id": product, "updated_at": at, "sku": f"S{product}", "name": f"Thing {product}"}
            row |= {"category": None if product % 7 == 0 else "tools", "list_price": price, "currency": "EUR"}
            row |= {"is_deleted": gone, "_ingest_ts": at, "_batch_id": f"b{day}", "_source_system": "test"}
            rows.append({**row, "_run_date": date(2025, 10, 1 + day), "_extra": None, "_row_hash": product * 100 + day})
    return rows


def land(tables: Path, lake: str) -> None:
    """bronze.products, as a load leaves it."""
    path = f"{lake}/bronze/products"
    create_table(path, table_spec(load_contract(tables / "bronze" / "products")))
    address, options = store.delta_rs(path)
    wanted = pa.schema(DeltaTable(address, storage_options=options).schema().to_arrow())
    table = pa.Table.from_pylist(changes(), schema=wanted)
    write_deltalake(address, table, mode="append", storage_options=options)


def rows(lake: str, name: str) -> list[dict[str, Any]]:
    """Rows of a published table, operational columns aside."""
    address, options = store.delta_rs(f"{lake}/{name.replace('.', '/')}")
    table = DeltaTable(address, storage_options=options).to_pyarrow_table()
    return sorted(table.select([n for n in table.column_names if not n.startswith("_")]).to_pylist(), key=str)


@pytest.mark.long(65)
@pytest.mark.timeout(600)
def test_a_cluster_publishes_what_the_server_publishes(
    connect_server: str, s3: str, aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tables, config, lake = tmp_path / "tables", tmp_path / "config", f"{s3}/lake"
    adopt(tables, "bronze.products", *COMPUTED)
    config.mkdir()
    told = yaml.safe_load((PROJECT / "include/config/local.yaml").read_text())
    (config / "cluster.yaml").write_text(yaml.safe_dump({**told, "lake": lake}))
    placed = submit.placed(build(tables, config).write(str(tmp_path / "package"))["manifest"])
    land(tables, lake)

    reached, place = aws.access(), f"{lake}/_jobs/1"
    # The machines have the keys, as by a role: they are in no argument, setting or file.
    env = {**environment(tmp_path / "cluster"), **reached.environment()}
    env |= {"AIRFLOW_CONN_AWS_DEFAULT": aws_connection(aws_endpoint), "LAKEHOUSE_CACHE": str(tmp_path / "cache")}
    more = {**SMALL, **FEW_CORES, **SMALL_DATA_CONF, **s3a_conf(reached)}
    more["spark.jars"] = ",".join(f"local:{jar}" for jar in resolve_jars())
    asked = Order(COMPUTED, RUN, "publish", place, "cluster", str(tmp_path / "home"))
    with cluster(tmp_path / "cluster", env=env) as master:
        arguments = submit.spark_submit(placed, asked, master, more)
        argv = [str(spark_home() / "bin" / "spark-submit"), *arguments]
        ran = subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    assert reached.secret
    assert reached.secret not in str(arguments) + ran.stdout + ran.stderr
    report = order.read_report(place)
    assert report["package"] == Path(placed.archive).stem
    assert report["application"]["master"] == master
    assert {batch["table"] for batch in report["batches"]} == set(COMPUTED)
    # Both workers had an executor of it.
    for number in (0, 1):
        assert list((tmp_path / f"cluster/worker{number}").glob(f"{report['application']['id']}/*/stderr"))

    for name, value in (("HOME", tmp_path / "local"), ("TABLES", tables), ("SPARK_REMOTE", connect_server)):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    settings.cache_clear()
    local = settings().lake
    land(tables, local)
    found = load()
    run_tables(found, found.select(" ".join(COMPUTED)), RUN, pytest.fail, pytest.fail, lambda table, step: None)
    monkeypatch.undo()
    settings.cache_clear()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(aws_endpoint))
    assert {name: rows(lake, name) for name in COMPUTED} == {name: rows(local, name) for name in COMPUTED}
    # There is something to compare.
    assert len(rows(local, "silver.products")) == 29
    assert len(rows(local, "gold.dim_product")) > 80
