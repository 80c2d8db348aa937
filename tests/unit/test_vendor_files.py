"""The vendors' files: the same for everyone, as odd as their manifest says, and in the bucket again after it forgot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.ingest.files import FilesFeed
from lakehouse.ingest.files.stores import Folder
from lakehouse.sandbox import vendor
from lakehouse.sandbox.shop import Shop, ShopConfig
from lakehouse.sandbox.shop.vendor import vendor_files

CONFIG = ShopConfig(scale=0.3)
CONTRACT = load_contract(PROJECT / "include" / "tables" / "bronze" / "vendor_prices")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.client("s3", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")


def objects(s3: Any) -> dict[str, str]:
    listed = s3.list_objects_v2(Bucket=vendor.BUCKET).get("Contents", [])
    return {entry["Key"]: entry["ETag"] for entry in listed}


def faults_and_rows(feed: FilesFeed) -> tuple[list[str], list[dict[str, Any]]]:
    found = [row for piece in feed.plan((), feed.deliveries()) for b in feed.read(piece) for row in b.to_pylist()]
    return sorted(row["_fault"] for row in found if row["_fault"]), [row for row in found if not row["_fault"]]


def test_a_day_is_the_same_for_everyone() -> None:
    first, second = Shop(CONFIG), Shop(CONFIG)
    backwards = [vendor_files(second, n) for n in (3, 2, 1, 0)][::-1]
    assert [vendor_files(first, n) for n in range(4)] == backwards


def test_three_days_hold_every_oddity() -> None:
    shop = Shop(CONFIG)
    assert [[file.kind for file in vendor_files(shop, n)] for n in range(4)] == [
        ["", "", ""],
        ["", ""],
        ["late", "malformed_line", "", "truncated"],
        ["repaired", "resent", "", "", ""],
    ]
    clean = Shop(replace(CONFIG, faults=False))
    files = [file for n in range(7) for file in vendor_files(clean, n)]
    assert {file.kind for file in files} == {"", "late", "resent"}
    assert not any(file.rule for file in files)
    keys = [{file.key for file in vendor_files(shop, n)} for n in range(4)]
    assert "prices/south/2025-10-01.jsonl.gz" in keys[2] - keys[1]
    assert {"prices/north/2025-10-02.csv", "prices/east/2025-10-02.csv.gz"} <= keys[2] & keys[3]


@pytest.mark.parametrize("n", range(4))
def test_what_is_read_is_what_the_manifest_says(tmp_path: Path, n: int) -> None:
    files = vendor_files(Shop(CONFIG), n)
    for file in files:
        path = tmp_path / file.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    assert CONTRACT.source
    feed = FilesFeed(CONTRACT, replace(CONTRACT.source, object="."), Folder(str(tmp_path)))
    faults, rows = faults_and_rows(feed)
    assert faults == sorted(file.rule for file in files if file.rule)
    assert len(rows) == sum(file.rows for file in files) > 10
    assert {row["vendor"] for row in rows} <= {"north", "south", "east"}
    assert all(row[name] for row in rows for name in ("sku", "supplier_price", "updated_at", "price_date"))


def test_a_bucket_that_forgot_is_filled_again_with_the_same(tmp_path: Path, s3: Any) -> None:
    twin, manifests = tmp_path / "twin", tmp_path / "manifests"
    new = vendor.deliver(s3, twin, 2, CONFIG, manifests)
    assert new == sum(file.rows for n in range(3) for file in vendor_files(Shop(CONFIG), n))
    before = objects(s3)
    assert vendor.deliver(s3, twin, 1, CONFIG, manifests) == 0
    assert objects(s3) == before
    for key in before:
        s3.delete_object(Bucket=vendor.BUCKET, Key=key)
    s3.delete_bucket(Bucket=vendor.BUCKET)
    assert vendor.fill(s3, twin) == len(before)
    assert objects(s3) == before
    assert vendor.fill(s3, twin) == 0
    vendor.deliver(s3, twin, 3, CONFIG, manifests)
    after = objects(s3)
    resent = {key for key in before if after[key] != before[key]}
    assert resent == {"prices/north/2025-10-02.csv", "prices/east/2025-10-02.csv.gz"}
    told = json.loads((manifests / "files-002.json").read_text())["files"]
    assert [entry["kind"] for entry in told] == ["late", "malformed_line", "", "truncated"]


def test_a_bucket_is_there_before_anything_was_sent(tmp_path: Path, s3: Any) -> None:
    assert vendor.fill(s3, tmp_path / "nothing") == 0
    assert objects(s3) == {}
