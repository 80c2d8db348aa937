"""What comes back from quarantine is judged as it was when it landed: the same values, hash and reasons (CON-4)."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.bronze.judge import judged
from lakehouse.bronze.landed import landed
from lakehouse.contracts import load_contract
from lakehouse.ingest.kept import land_kept

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bronze.kept
version: 1.0.0
status: active
team: {name: Kept, members: [{username: kept@shop.example}]}
customProperties:
  - property: source
    value: {connection: snowflake_default, type: snowflake, object: A.B, cursor: at, initialValue: 2025-01-01}
schema:
  - name: kept
    properties:
      - {name: id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: at, physicalType: TIMESTAMP, required: true}
      - {name: price, physicalType: "DECIMAL(20,2)"}
      - {name: rate, physicalType: DOUBLE}
      - {name: day, physicalType: DATE}
      - {name: raw, physicalType: BINARY}
      - {name: done, physicalType: BOOLEAN}
      - {name: tags, physicalType: ARRAY<STRING>}
      - {name: note, physicalType: STRING}
"""
AT = datetime(2025, 10, 1, 20, 0, 0, 123456, tzinfo=UTC)
HOSTILE = "it's \"; DROP TABLE x --\n\t\u0000\u2028ü\\"
ROWS: list[dict[str, Any]] = [
    {
        "id": 2**63 - 1,
        "at": AT,
        "price": Decimal("123456789012345678.90"),
        "rate": 0.1,
        "day": date(2025, 10, 1),
        "raw": b"\x00\xff",
        "done": True,
        "tags": ["a", None, 'b"'],
        "note": HOSTILE,
        "extra:seen": AT,
        "extra:weight": 2.5,
        "extra:left": 7,
    },
    {"id": -1, "at": AT, "price": Decimal("0.10"), "rate": 1e300, "done": False, "tags": [], "note": ""},
    {"id": None, "at": AT, "rate": float("nan"), "note": "no key", "extra:left": 0},
    {"id": 3, "at": None, "rate": float("-inf"), "note": "null"},
]
TYPES = {
    "id": pa.int64(),
    "at": pa.timestamp("us", tz="UTC"),
    "price": pa.decimal128(20, 2),
    "rate": pa.float64(),
    "day": pa.date32(),
    "raw": pa.binary(),
    "done": pa.bool_(),
    "tags": pa.list_(pa.string()),
    "note": pa.string(),
    "extra:seen": pa.timestamp("us", tz="UTC"),
    "extra:weight": pa.float64(),
    "extra:left": pa.int64(),
}


def told(frames: list[Any], contract: Any) -> list[dict[str, Any]]:
    """Judged rows, by the JSON that they are kept as."""
    rows = [row.asDict() for f in frames for row in judged(f, contract, contract.source, {}).collect()]
    # NaN is not equal to itself.
    return sorted(({**row, "rate": str(row["rate"])} for row in rows), key=lambda row: row["_landed"])


def test_what_comes_back_is_judged_as_it_was(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "tables" / "bronze" / "kept"
    folder.mkdir(parents=True)
    (folder / "contract.odcs.yaml").write_text(CONTRACT)
    contract = load_contract(folder)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS, schema=pa.schema(list(TYPES.items()))), first / "0.parquet")
    before = told(landed(spark, str(first)).frames, contract)
    assert [row["_reasons"] for row in before if row["id"] == 3] == [["at_not_null"]]
    assert len({row["_row_hash"] for row in before}) == len(ROWS)
    land_kept(contract, [row["_landed"] for row in before], str(second), b"key")
    assert told(landed(spark, str(second)).frames, contract) == before
