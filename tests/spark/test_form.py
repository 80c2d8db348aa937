"""The form of bronze's files: every reader there is finds in them what landed, and only loads write it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, QueryBuilder

from lakehouse.bronze.landed import landed
from lakehouse.bronze.load import LoadStamp, load
from lakehouse.config import settings
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import dataset, fast_forward, open_branch
from lakehouse.ledger import Window
from lakehouse.maintenance import optimize
from lakehouse.paths import table
from lakehouse.pipeline.spec import table_spec
from lakehouse.spark.settings import setting

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bronze.kinds
version: 1.0.0
status: active
team: {name: Depot, members: [{username: depot@shop.example}]}
customProperties:
  - property: source
    value: {connection: snowflake_default, type: snowflake, object: A.B, cursor: at, initialValue: 2025-01-01}
schema:
  - name: kinds
    properties:
      - {name: id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1}
      - {name: at, physicalType: TIMESTAMP}
      - {name: little, physicalType: INT}
      - {name: price, physicalType: "DECIMAL(9,2)"}
      - {name: wide, physicalType: "DECIMAL(38,10)"}
      - {name: real, physicalType: DOUBLE}
      - {name: day, physicalType: DATE}
      - {name: paid, physicalType: BOOLEAN}
      - {name: note, physicalType: STRING}
"""
NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
WINDOW = (Window(NOON - timedelta(days=1), NOON + timedelta(days=1)),)
KINDS = {
    "id": pa.int64(),
    "at": pa.timestamp("us", "UTC"),
    "little": pa.int32(),
    "price": pa.decimal128(9, 2),
    "wide": pa.decimal128(38, 10),
    "real": pa.float64(),
    "day": pa.date32(),
    "paid": pa.bool_(),
    "note": pa.string(),
}
#: What is hard to have as differences: the ends of the ranges, one after the other, and nothing in between.
EDGES: list[tuple[Any, ...]] = [
    (-(2**31), "-9999999.99", "-1234567890123456789012345678.0123456789", float("-inf"), date(1, 1, 1), True, ""),
    (2**31 - 1, "9999999.99", "0.0000000001", 1e-308, date(9999, 12, 31), False, "é😀" * 50),
    (None, None, None, None, None, None, None),
    (0, "0", "0", -0.0, date(1969, 12, 31), None, "e"),
]
#: Several pages of a column, and a last one that is not full.
ROWS = 20_003


def rows() -> pa.Table:
    """Keys and moments that go up and down, and the edges over and over."""
    ids = [2**63 - 1 - n if n % 2 else -(2**63) + n for n in range(ROWS)]
    made: list[list[Any]] = [ids, [NOON + timedelta(microseconds=(n * 7919) % 10**9) for n in range(ROWS)]]
    for place in range(7):
        values = [edge[place] for edge in EDGES]
        if place in (1, 2):
            values = [None if value is None else Decimal(value) for value in values]
        made.append([values[n % len(EDGES)] for n in range(ROWS)])
    made[-1] = [text if n % 3 else f"{text}{n}" for n, text in enumerate(made[-1])]
    return pa.table([pa.array(values, kind) for values, kind in zip(made, KINDS.values(), strict=True)], names=[*KINDS])


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contract]:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    folder = tmp_path / "tables" / "bronze" / "kinds"
    folder.mkdir(parents=True)
    (folder / "contract.odcs.yaml").write_text(CONTRACT)
    yield load_contract(folder)
    settings.cache_clear()


def loaded(spark: Any, contract: Contract, landing: Path, content: pa.Table) -> str:
    """Path of the table once `content` was loaded into it."""
    assert contract.source
    landing.mkdir()
    pq.write_table(content, landing / "rows.parquet")
    path = table(contract.name)
    branch = open_branch(path, f"{path}/_branch/{landing.name}/1", table_spec(contract), "append")
    stamp = LoadStamp(landing.name, 1, "a", "run", NOON, "2025-01-01", "0" * 32)
    load(contract, contract.source, branch, landed(spark, str(landing)), {}, WINDOW, stamp)
    fast_forward(branch, landing.name, 1, {})
    return path


def columns_of(path: str) -> list[dict[str, Any]]:
    """Of each data file the column chunks of its first row group, by name."""
    found = []
    for file in sorted(file for file in Path(path).rglob("*.parquet") if "_delta_log" not in file.parts):
        group = pq.read_metadata(file).row_group(0)
        found.append({column.path_in_schema: column for column in map(group.column, range(group.num_columns))})
    return found


def test_every_reader_finds_what_landed(spark: Any, contract: Contract, tmp_path: Path) -> None:
    landing = rows()
    path = loaded(spark, contract, tmp_path / "first", landing)
    assert "DELTA_BINARY_PACKED" in columns_of(path)[0]["id"].encodings
    expected = landing.sort_by("id")
    arrow = dataset(path)
    assert arrow
    files = [str(file) for file in Path(path).rglob("part-*.parquet")]
    everything = pa.table(QueryBuilder().register("kinds", DeltaTable(path)).execute("SELECT * FROM kinds"))
    assert everything.num_columns == len(KINDS) + 6
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        duck = db.sql("SELECT * FROM read_parquet($files)", params={"files": files}).to_arrow_table().select([*KINDS])
    readers = {
        "Spark": spark.read.format("delta").load(path).select(*KINDS).toArrow(),
        "Arrow": arrow.to_table(columns=[*KINDS]),
        "delta-rs": everything.select([*KINDS]),
        "DuckDB": duck,
    }
    for name, found in readers.items():
        assert found.cast(expected.schema).sort_by("id").equals(expected), name


def test_what_is_distinct_or_in_order_has_no_dictionary(spark: Any, contract: Contract, tmp_path: Path) -> None:
    (columns,) = columns_of(loaded(spark, contract, tmp_path / "first", rows().slice(0, 100)))
    plain = {name for name, column in columns.items() if not column.has_dictionary_page}
    # There is no dictionary of two words, and where no row has an extra value, there is nothing to write.
    assert plain == {"id", "at", "_ingest_ts", "_run_date", "_row_hash", "paid", "_extra"}
    # What has no statistics counts -1 nulls in its pages, which arrow-rs, and with it delta-rs, does not read.
    assert all(column.statistics.has_null_count for column in columns.values())


def test_upkeep_leaves_the_form_and_other_layers_have_the_first(
    spark: Any, contract: Contract, tmp_path: Path, connect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", connect_server)
    settings.cache_clear()
    content = rows()
    for number in range(2):
        path = loaded(spark, contract, tmp_path / f"load{number}", content.slice(number * 1000, 1000))
    before = {file.name for file in Path(path).rglob("*.parquet")}
    assert optimize("bronze.kinds", ()).state == "optimized"
    (made,) = [columns for columns in columns_of(path) if columns["id"].num_values == 2000]
    assert "DELTA_BINARY_PACKED" in made["at"].encodings
    assert before < {file.name for file in Path(path).rglob("*.parquet")}
    # The session that loaded writes as ever.
    other = str(tmp_path / "other")
    spark.read.format("delta").load(path).write.format("delta").save(other)
    assert all("DELTA_BINARY_PACKED" not in columns["at"].encodings for columns in columns_of(other))


@pytest.mark.parametrize("fails", [False, True])
def test_a_setting_is_set_back_whatever_happens(spark: Any, fails: bool) -> None:
    spark.conf.set("some.name", "before")
    try:
        with setting(spark, {"some.name": "meanwhile", "some.other": "meanwhile"}):
            assert [spark.conf.get(name) for name in ("some.name", "some.other")] == ["meanwhile", "meanwhile"]
            assert 1 / (0 if fails else 1)
    except ZeroDivisionError:
        assert fails
    assert (spark.conf.get("some.name"), spark.conf.get("some.other", None)) == ("before", None)
    spark.conf.unset("some.name")
