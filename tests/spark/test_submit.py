"""Two tables of the daily run on a standalone cluster of two workers, the lake on S3, as on the server of the tests.

Latest states and SCD2.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.config import settings
from lakehouse.contracts import load_contract
from lakehouse.delta import create_table, store
from lakehouse.manifest import load
from lakehouse.pipeline.batch import Run
from lakehouse.pipeline.run import run_tables
from lakehouse.pipeline.spec import table_spec
from tests.shop import adopt
from tests.spark_cluster import published
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
    tables, lake = tmp_path / "tables", f"{s3}/lake"
    adopt(tables, "bronze.products", *COMPUTED)
    land(tables, lake)
    report = published(tmp_path / "cluster", tables, lake, COMPUTED, RUN, aws_connection(aws_endpoint), timeout=400)
    assert {batch["table"] for batch in report["batches"]} == set(COMPUTED)

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
