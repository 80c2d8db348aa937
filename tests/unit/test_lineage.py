"""Lineage names what lies in the lake by where it lies, on a disk or in a bucket."""

from __future__ import annotations

import pytest

from lakehouse import lineage
from lakehouse.config import settings


@pytest.mark.parametrize(
    ("lake", "namespace", "top"), [("/data/lake", "file", "/data/lake"), ("s3a://acme/lake", "s3a://acme", "lake")]
)
def test_tables_landing_files_and_records(monkeypatch: pytest.MonkeyPatch, lake: str, namespace: str, top: str) -> None:
    monkeypatch.setenv("LAKEHOUSE_LAKE", lake)
    settings.cache_clear()
    named = [make("bronze.orders") for make in (lineage.table, lineage.landing, lineage.records)]
    settings.cache_clear()
    assert {dataset.namespace for dataset in named} == {namespace}
    assert [dataset.name for dataset in named] == [
        f"{top}/{place}" for place in ("bronze/orders", "_landing/bronze/orders", "_stream/bronze/orders/records")
    ]
