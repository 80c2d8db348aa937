"""Rows that quarantine kept as JSON become landing files again (CON-4): nothing is asked of a source."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.contracts.model import Column, Contract
from lakehouse.ingest import kept
from lakehouse.ingest.landing import KEPT, is_whole, rows_in

BASE = load_contract(PROJECT / "include" / "tables" / "bronze" / "products")
BIG = Decimal("123456789012345678901234567890.10")


def contract(*columns: Column) -> Contract:
    return replace(BASE, columns=columns)


def column(name: str, kind: str, source: str = "", protect: str = "") -> Column:
    return Column(name, kind, source_name=source or name.upper(), protect=protect)


def landed(tmp_path: Path, of: Contract, *rows: str) -> pa.Table:
    kept.land_kept(of, rows, str(tmp_path), b"key")
    assert is_whole(str(tmp_path))
    assert rows_in(str(tmp_path)) == len(rows)
    return pq.read_table(tmp_path)


@pytest.mark.parametrize(
    ("kind", "values", "arrow", "expected"),
    [
        ("BIGINT", ("1", "null", "-9223372036854775808"), pa.int64(), [1, None, -(2**63)]),
        ("BIGINT", ("9223372036854775808",), pa.decimal128(38, 0), [Decimal(2**63)]),
        ("DECIMAL(38,2)", (str(BIG), "1.00"), pa.decimal128(38, 2), [BIG, Decimal("1.00")]),
        ("DECIMAL(19,2)", ("12345678901234567.12", "0.5"), pa.string(), ["12345678901234567.12", "0.5"]),
        ("DOUBLE", ("0.5", "1.25E300"), pa.float64(), [0.5, 1.25e300]),
        ("DOUBLE", ("0.5", '"NaN"'), pa.string(), ["0.5", "NaN"]),
        ("BOOLEAN", ("true", "false"), pa.bool_(), [True, False]),
        ("STRING", ("1.50", "true", '{"a":[1.0,"x"]}'), pa.string(), ["1.50", "true", '{"a":[1.0,"x"]}']),
        ("STRING", ('"it\'s; DROP TABLE x"', '""'), pa.string(), ["it's; DROP TABLE x", ""]),
        ("TIMESTAMP", ('"2025-10-01T20:00:00.123456Z"',), pa.string(), ["2025-10-01T20:00:00.123456Z"]),
        ("BINARY", ('"AAEC"', '"no base64"'), pa.binary(), [b"\x00\x01\x02", b"no base64"]),
        ("ARRAY<STRING>", ('["a", 1, null]', "null"), pa.list_(pa.string()), [["a", "1", None], None]),
        ("BIGINT", ("null",), pa.string(), [None]),
    ],
)
def test_values_come_back_as_they_landed(
    tmp_path: Path, kind: str, values: tuple[str, ...], arrow: pa.DataType, expected: list[Any]
) -> None:
    rows = [f'{{"c": {value}}}' for value in values]
    table = landed(tmp_path, contract(column("c", kind)), *rows)
    assert table.schema.field("c").type == arrow
    assert table["c"].to_pylist() == expected
    assert table[KEPT].to_pylist() == rows


def test_names_that_differ_by_case_alone_are_in_files_of_their_own(tmp_path: Path) -> None:
    """Two files of a vendor spelled a column each its way; Spark would refuse both in one."""
    rows = ['{"id": 1, "extra:Colour": "red"}', '{"id": 2, "extra:colour": "blue"}', '{"id": 3}']
    kept.land_kept(contract(column("id", "BIGINT")), rows, str(tmp_path), b"key")
    files = [pq.read_table(file) for file in sorted(tmp_path.glob("*.parquet"))]
    assert [file["id"].to_pylist() for file in files] == [[1, 3], [2]]
    assert [set(file.column_names) - {KEPT, "id"} for file in files] == [{"extra:Colour"}, {"extra:colour"}]


def test_columns_are_those_of_todays_contract(tmp_path: Path) -> None:
    """Known by its own name; since then known by its source's name; never known; and what the feed could not read."""
    of = contract(column("id", "BIGINT"), column("colour", "STRING", source="COLOR"), column("note", "STRING"))
    table = landed(
        tmp_path, of, '{"id": 1, "color": "red", "Size": 4}', '{"id": 2, "_fault": "truncated", "_raw": "2,"}'
    )
    assert {name: table[name].to_pylist() for name in table.column_names if name != KEPT} == {
        "id": [1, 2],
        "colour": ["red", None],
        "extra:Size": [4, None],
        "note": [None, None],
        "_fault": [None, "truncated"],
        "_raw": [None, "2,"],
    }


def test_a_column_that_was_not_known_and_is_personal_today_is_protected_and_tokens_stay(tmp_path: Path) -> None:
    of = contract(
        column("id", "BIGINT"), column("who", "STRING", protect="tokenise"), column("mail", "STRING", protect="mask")
    )
    table = landed(tmp_path, of, '{"who": "0123456789abcdef", "MAIL": "ann@x.example"}')
    assert table["who"].to_pylist() == ["0123456789abcdef"]
    assert table["mail"].to_pylist() == ["***********le"]


def test_many_rows_are_several_files_and_another_time_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "ROWS", 2)
    of = contract(column("id", "BIGINT"))
    landed(tmp_path, of, *(f'{{"id": {n}}}' for n in range(5)))
    assert len(list(tmp_path.glob("*.parquet"))) == 3
    landed(tmp_path, of, '{"id": 9}')
    assert len(list(tmp_path.glob("*.parquet"))) == 1
