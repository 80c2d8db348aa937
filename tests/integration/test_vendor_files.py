"""Vendor files from end to end: hostile ones beside good ones on S3, and a new feed that is one folder."""

from __future__ import annotations

import csv
import gzip
import json
import os
import random
import shutil
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse import connections, ledger, paths
from lakehouse.config import PROJECT
from lakehouse.delta import read_rows
from lakehouse.ingest.files import FilesFeed
from lakehouse.ingest.files.stores import ObjectGone
from lakehouse.pipeline.batch import Batch
from tests.integration.conftest import Lakehouse

RETAIL = PROJECT.parent / "shared" / "retail"
COLUMNS = """
- {name: sku, physicalName: SKU, physicalType: STRING, primaryKey: true, required: true}
- {name: day, physicalType: DATE, required: true}
- {name: price, physicalType: "DECIMAL(10,2)"}
- {name: note, physicalType: STRING}
"""
SOURCE = r"""
- property: source
  value: {connection: aws_default, type: files, object: "s3://%s/in/", cursor: day, initialValue: "2025-01-01",
    watermarkKey: offers_max, options: {pattern: '(?P<day>\d{4}-\d{2}-\d{2})'}}
- {property: quarantineThreshold, value: 1}
"""
HEAD = b"SKU,price,note\n"
LONG = "x" * 10 * 2**20
SQL = "x`; DROP TABLE y --"

FILES = {
    "2025-10-01.csv": HEAD + b'A,1.10,"two\r\nlines"\nB,cheap,x\nbad\nC,1e400,NaN\n,1,nobody\nD,,\n',
    "2025-10-02.csv": b"\xef\xbb\xbfsku,PRICE," + SQL.encode() + b"\r\nA,2,beyond\r\n",
    "2025-10-03.jsonl.gz": gzip.compress(b'{"SKU": "A", "price": 3.30, "note": {"a": [1]}}\nno json\n'),
    "2025-10-04.csv.gz": gzip.compress(HEAD + b"A,4,x\n" * 1000)[:-9],
    "2025-10-05.csv": b"price,note\n1,x\n",
    "2025-10-06.csv": HEAD + b"A,6,\xff\n",
    "2025-10-07.csv": bytes(range(256)),
    "2025-10-08.csv": HEAD,
    "2025-10-09.csv": b"",
    "2025-10-10.csv": HEAD + f"A,10,{LONG}\n".encode(),
    "2025-10-11.csv": HEAD + b"A,11,a\0b\nA,11,a\0b\n",
    "2025-99-99.csv": HEAD + b"A,12,x\n",
    "no-day.csv": b"not ours\n",
}


def batch(lake: Lakehouse, table: str, day: int) -> Batch:
    (made,) = lake.run(f"bronze.{table}", f"2025-11-{day:02d}", f"2025-11-{day + 1:02d}")
    counts = made.counts
    known = counts["inserted"] + counts["duplicates"] + counts["quarantined"] + counts["discarded"]
    assert counts["extracted"] == known, counts
    return made


@pytest.mark.long(30)
def test_hostile_files_beside_good_ones(lakehouse: Lakehouse) -> None:
    """CON-2, CON-5: what cannot be read is set aside, object by object and line by line; the rest is loaded."""
    bucket = "hostile"
    lakehouse.table("bronze.offers", COLUMNS, SOURCE % bucket)
    with closing(connections.open_source("aws_default")) as s3:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        for name, content in FILES.items():
            s3.put_object(Bucket=bucket, Key=f"in/{name}", Body=content)
        first = batch(lakehouse, "offers", 1)
        assert len(first.deliveries) == len(FILES) - 1
        assert first.counts["extracted"] == 17
        rows = {(r["sku"], r["day"].day): (r["price"], r["note"]) for r in lakehouse.rows("bronze.offers")}
        assert {key: value for key, value in rows.items() if key != ("A", 10)} == {
            ("A", 1): (Decimal("1.10"), "two\r\nlines"),
            ("D", 1): (None, None),
            ("A", 2): (Decimal("2.00"), None),
            ("A", 3): (Decimal("3.30"), '{"a":[1]}'),
            ("A", 11): (Decimal("11.00"), "a\0b"),
        }
        assert rows["A", 10] == (Decimal("10.00"), LONG)
        extra = DeltaTable(paths.table("bronze.offers")).to_pyarrow_table().column("_extra").to_pylist()
        assert [json.loads(text) for text in extra if text] == [{SQL: "beyond"}]
        held = read_rows(paths.ops("quarantine"))
        assert sorted(row["reasons"] for row in held) == [
            ["day_type", "day_not_null"],
            ["file_bad_encoding"],
            ["file_truncated"],
            ["file_unreadable"],
            ["file_wrong_header"],
            ["line_malformed"],
            ["line_malformed"],
            ["price_type"],
            ["price_type"],
            ["sku_not_null"],
        ]
        raw = [json.loads(row["row"])["_raw"] for row in held if row["reasons"] == ["file_truncated"]]
        assert [json.loads(text)["key"] for text in raw] == ["in/2025-10-04.csv.gz"]

        # Nothing new: nothing is read. The file is sent whole: it alone is.
        again = batch(lakehouse, "offers", 2)
        assert (again.deliveries, again.counts["extracted"]) == ((), 0)
        s3.put_object(Bucket=bucket, Key="in/2025-10-04.csv.gz", Body=gzip.compress(HEAD + b"A,4,x\nB,4,x\n"))
        mended = batch(lakehouse, "offers", 3)
        assert [name.partition("#")[0] for name in mended.deliveries] == ["in/2025-10-04.csv.gz"]
        assert mended.counts["inserted"] == 2

        # Gone between listing and reading: named, and the next run takes what is there then.
        s3.put_object(Bucket=bucket, Key="in/2025-10-20.csv", Body=HEAD + b"A,20,x\n")
        listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
        with pytest.MonkeyPatch.context() as patch:
            gone = "in/2025-10-21.csv#0123456789abcdef"
            patch.setattr(FilesFeed, "deliveries", lambda feed: (gone,))
            with pytest.raises(ObjectGone, match=r"in/2025-10-21\.csv"):
                batch(lakehouse, "offers", 4)
        assert s3.list_objects_v2(Bucket=bucket)["Contents"] == listed
        assert batch(lakehouse, "offers", 5).counts["inserted"] == 1


CONTRACT_OF_A_FOLDER = """
- {name: invoice_no, physicalName: InvoiceNo, physicalType: STRING, primaryKey: true, required: true}
- {name: stock_code, physicalName: StockCode, physicalType: STRING, primaryKey: true, required: true}
- {name: line, physicalType: BIGINT, primaryKey: true, required: true}
- {name: invoice_date, physicalName: InvoiceDate, physicalType: TIMESTAMP, required: true}
- {name: description, physicalName: Description, physicalType: STRING}
- {name: quantity, physicalName: Quantity, physicalType: BIGINT, required: true}
- {name: unit_price, physicalName: UnitPrice, physicalType: "DECIMAL(12,4)", required: true}
- {name: customer_id, physicalName: CustomerID, physicalType: "DECIMAL(10,0)"}
- {name: country, physicalName: Country, physicalType: STRING}
"""
FOLDER = """
- property: source
  value: {connection: retail_files, type: files, object: %s, cursor: invoice_date, initialValue: "2010-01-01",
    watermarkKey: %s_max, options: {pattern: '[.]csv$', occurrence: line}}
"""


@pytest.mark.long(60)
@pytest.mark.skipif(not RETAIL.is_dir(), reason=f"there are no retail days in {RETAIL}")
def test_a_new_source_is_one_folder(lakehouse: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real days as a vendor feed by a contract alone: in order, shuffled, and with days repeated, the same table."""
    monkeypatch.setenv("AIRFLOW_CONN_RETAIL_FILES", json.dumps({"conn_type": "fs", "extra": {"path": str(tmp_path)}}))
    days = sorted(RETAIL.glob("*.csv"))
    lines = sum(1 for day in days for record in csv.reader(day.open(newline="")) if record) - len(days)
    shuffled = random.Random(5).sample(days, len(days))
    sent = {
        "ordered": [days[:20], days[20:]],
        "shuffled": [shuffled[:20], shuffled[20:]],
        "repeated": [days[5:], sorted({*shuffled[:15], *days[:5]})],
    }
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, deliveries in sent.items():
        lakehouse.table(f"bronze.{name}", CONTRACT_OF_A_FOLDER, FOLDER % (name, name))
        (tmp_path / name).mkdir()
        for number, some in enumerate(deliveries, 1):
            for day in some:
                target = tmp_path / name / day.name
                shutil.copyfile(day, target)
                os.utime(target, (number, number))  # Sent again: another time, so another ETag.
            made = batch(lakehouse, name, number)
            assert len(made.deliveries) == len(some)
            assert made.counts["quarantined"] == 0
        tables[name] = lakehouse.rows(f"bronze.{name}")
        assert sum(e.counts["inserted"] for e in ledger.read(f"bronze.{name}") if e.event == "published") == lines
    assert len(tables["ordered"]) == lines > 50_000
    assert tables["ordered"] == tables["shuffled"] == tables["repeated"]
    assert max(row["line"] for row in tables["ordered"]) > 1
