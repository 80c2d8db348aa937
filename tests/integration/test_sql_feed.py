"""Extraction from Snowflake and Redshift through their clients: slices, drift, types, and what goes wrong (ING-9)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import connections
from lakehouse.contracts import Contract, load_contract
from lakehouse.ingest.feed import FAULT, RAW, open_feed
from lakehouse.ingest.landing import land
from lakehouse.ingest.sql.faults import SourceColumnMissing, SourceDenied, SourceTableMissing, SourceTimeout
from lakehouse.ledger.windows import Window
from lakehouse.sandbox.some import serving

KINDS = ("snowflake", "redshift")
TABLES = {"snowflake": "SHOP.PUBLIC.{}", "redshift": "shop.{}"}
START = datetime(2025, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MICRO = timedelta(microseconds=1)
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bronze.things
version: 1.0.0
status: active
team: {{name: Test, members: [{{username: owner@test.example}}]}}
schema:
  - name: things
    properties:
{columns}
customProperties:
  - property: source
    value: {{connection: {kind}_default, type: {kind}, object: {table}, cursor: {cursor}, lookback: {lookback},
      initialValue: 2025-01-01, options: {options}}}
"""
KEYED = """
      - {name: a, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1}
      - {name: b, physicalType: STRING, primaryKey: true, primaryKeyPosition: 2}
      - {name: at, physicalType: TIMESTAMP}
"""


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with (
        pytest.MonkeyPatch.context() as patch,
        serving(tmp_path_factory.mktemp("sources"), "postgres", "snowflake") as env,
    ):
        for name, value in env.items():
            patch.setenv(name, value)
        opened = {kind: connections.open_source(f"{kind}_default") for kind in KINDS}
        opened["redshift"].autocommit = True
        ask(opened["redshift"], "CREATE SCHEMA shop")
        yield opened
        for client in opened.values():
            client.close()


@pytest.fixture(autouse=True)
def reader(clients: dict[str, Any]) -> Iterator[Any]:
    """Redshift for the feed: in a transaction, as extraction has it."""
    with closing(connections.open_source("redshift_default")) as opened:
        yield opened


def ask(client: Any, *statements: str) -> None:
    with client.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def contract(folder: Path, kind: str, table: str, columns: str = KEYED, cursor: str = "at", **options: Any) -> Contract:
    lookback = options.pop("lookback", "PT0S")
    home = folder / "bronze" / "things"
    home.mkdir(parents=True, exist_ok=True)
    text = CONTRACT.format(
        columns=columns.strip("\n"),
        kind=kind,
        table=TABLES[kind].format(table),
        cursor=cursor,
        lookback=lookback,
        options=json.dumps(options),
    )
    (home / "contract.odcs.yaml").write_text(text)
    return load_contract(home)


def slices(made: Contract, client: Any, *windows: Window) -> list[list[dict[str, Any]]]:
    """Rows of each slice, the plan having gone through JSON."""
    assert made.source
    feed = open_feed(made, made.source, client)
    plan = feed.plan(windows or (Window(START, START + DAY),), ())
    plan = [type(piece)(piece.name, json.loads(json.dumps(piece.spec))) for piece in plan]
    assert len({piece.name for piece in plan}) == len(plan)
    return [[row for batch in feed.read(piece) for row in batch.to_pylist()] for piece in plan]


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-1, 3)),
        st.one_of(st.none(), st.sampled_from(["", "a", "B", "b", "ä", "%s", "'", "\\"])),
        st.one_of(
            st.none(), st.sampled_from([START, START + MICRO, START + DAY / 2, START + DAY, START + DAY + MICRO])
        ),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", KINDS)
def test_slices_are_the_windows_rows_each_once(clients: dict[str, Any], reader: Any, tmp_path: Path, kind: str) -> None:
    """ING-6, ING-9: whatever ties and nulls there are; rows without a cursor come once a load."""
    client = clients[kind]
    moment = {"snowflake": "TIMESTAMP_NTZ", "redshift": "timestamp"}[kind]
    table = TABLES[kind].format("random_rows" if kind == "redshift" else "RANDOM_ROWS")
    quoted = ".".join(f'"{part}"' for part in table.split("."))
    ask(client, f'CREATE TABLE {quoted} ("n" INT, "a" BIGINT, "b" VARCHAR(10), "at" {moment})')
    made = {size: contract(tmp_path / str(size), kind, table.rpartition(".")[2], sliceRows=size) for size in (1, 3, 7)}

    @given(rows=ROWS, size=st.sampled_from(sorted(made)))
    def check(rows: list[tuple[Any, ...]], size: int) -> None:
        with client.cursor() as cursor:
            cursor.execute(f"DELETE FROM {quoted}")
            if rows:
                marks = ", ".join(["(%s, %s, %s, %s)"] * len(rows))
                naive = [(n, a, b, at and at.replace(tzinfo=None)) for n, (a, b, at) in enumerate(rows)]
                cursor.execute(f"INSERT INTO {quoted} VALUES {marks}", tuple(v for row in naive for v in row))
        reader.rollback()
        found = slices(made[size], reader if kind == "redshift" else client)
        due = {n for n, (*_, at) in enumerate(rows) if at is None or START < at <= START + DAY}
        assert sorted(int(row["n"]) for piece in found for row in piece) == sorted(due)
        # No more than asked for, but for rows that nothing tells apart.
        for piece in found:
            ties = Counter(rows[int(row["n"])] for row in piece)
            assert len(piece) < size + max(ties.values(), default=1)
            assert len({row["at"] is None for row in piece}) <= 1

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_windows_that_the_lookback_makes_overlap_give_no_row_twice(
    clients: dict[str, Any], reader: Any, tmp_path: Path, kind: str
) -> None:
    table = "LOOKBACK" if kind == "snowflake" else "lookback"
    moment = {"snowflake": "TIMESTAMP_NTZ", "redshift": "timestamp"}[kind]
    quoted = ".".join(f'"{part}"' for part in TABLES[kind].format(table).split("."))
    ask(
        clients[kind],
        f'CREATE TABLE {quoted} ("a" BIGINT, "b" VARCHAR(10), "at" {moment})',
        f"INSERT INTO {quoted} VALUES (1, 'x', '2025-10-01 22:00:00'), (2, 'y', '2025-10-02 12:00:00'), (3, 'z', NULL)",
    )
    made = contract(tmp_path, kind, table, lookback="PT6H")
    windows = Window(START, START + DAY), Window(START + 1.1 * DAY, START + 2 * DAY)
    found = slices(made, reader if kind == "redshift" else clients[kind], *windows)
    assert sorted(row["a"] for piece in found for row in piece) == [1, 2, 3]


def test_a_cursor_with_a_zone_is_the_same_moment(clients: dict[str, Any], reader: Any, tmp_path: Path) -> None:
    columns = 'a BIGINT, b VARCHAR(10), "at" timestamptz'
    ask(
        clients["redshift"],
        f"CREATE TABLE shop.zoned ({columns})",
        "INSERT INTO shop.zoned VALUES (1, 'in', '2025-10-02 01:00+02'), (2, 'out', '2025-10-02 01:00+00')",
    )
    ask(reader, "SET TIME ZONE 'Asia/Tokyo'")
    assert slices(contract(tmp_path, "redshift", "zoned"), reader) == [
        [{"a": 1, "b": "in", "at": START + 23 * DAY / 24, FAULT: None, RAW: None}]
    ]
    ask(
        clients["snowflake"],
        'CREATE TABLE ZONED ("a" INT, "b" VARCHAR, "at" TIMESTAMP_TZ)',
        "INSERT INTO ZONED VALUES (1, 'in', '2025-10-02 01:00:00+02:00'), (2, 'out', '2025-10-02 01:00:00+00:00')",
    )
    ((row,),) = slices(contract(tmp_path, "snowflake", "ZONED"), clients["snowflake"])
    assert (row["a"], row["at"]) == (1, START + 23 * DAY / 24)


TYPES = {
    "whole": ("numeric(12,0)", "7"),
    "price": ("numeric(12,2)", "'1.50'"),
    "vague": ("numeric", "'1.234567890123456789'"),
    "small": ("smallint", "3"),
    "real_": ("float4", "0.1"),
    "ratio": ("float8", "0.1"),
    "yes": ("bool", "true"),
    "raw": ("bytea", "'\\x00ff'"),
    "doc": ("jsonb", "'{\"k\": [1, null]}'"),
    "tags": ("text[]", "'{a,b}'"),
    "who": ("uuid", "'00000000-0000-0000-0000-000000000001'"),
    "day": ("date", "'2025-10-01'"),
    "born": ("timestamp", "'0001-01-01 00:00:00.000001'"),
    "seen": ("timestamptz", "'2025-10-01 12:00:00.5+05:30'"),
    "long": ("interval", "'1 day'"),
    "at_noon": ("time", "'12:00'"),
}


def test_types_of_postgresql_are_told_by_the_catalog_not_by_the_values(
    clients: dict[str, Any], reader: Any, tmp_path: Path
) -> None:
    """An all-null batch has the types of a full one; nothing is a float that was a decimal."""
    ask(
        clients["redshift"],
        'CREATE TABLE shop.types (a BIGINT, b TEXT, "at" timestamp, '
        + ", ".join(f"{name} {kind}" for name, (kind, _) in TYPES.items())
        + ")",
        "INSERT INTO shop.types VALUES (1, 'x', '2025-10-01 10:00', " + ", ".join(v for _, v in TYPES.values()) + ")",
        "INSERT INTO shop.types (a, b, at) VALUES (2, 'x', '2025-10-01 11:00')",
    )
    made = contract(tmp_path, "redshift", "types", sliceRows=1)
    feed = open_feed(made, made.source, reader)  # type: ignore[arg-type]
    full, empty = [next(iter(feed.read(piece))) for piece in feed.plan([Window(START, START + DAY)], ())]
    assert full.schema == empty.schema
    assert {name: full.schema.field(name).type for name in ("whole", "price", "vague", "raw", "real_", "seen")} == {
        "whole": pa.decimal128(12, 0),
        "price": pa.decimal128(12, 2),
        "vague": pa.string(),
        "raw": pa.binary(),
        "real_": pa.float32(),
        "seen": pa.timestamp("us", tz="UTC"),
    }
    (row,) = full.to_pylist()
    assert {name: row[name] for name in TYPES if name not in ("real_", "doc")} == {
        "whole": Decimal(7),
        "price": Decimal("1.50"),
        "vague": "1.234567890123456789",
        "small": 3,
        "ratio": 0.1,
        "yes": True,
        "raw": b"\x00\xff",
        "tags": "{a,b}",
        "who": "00000000-0000-0000-0000-000000000001",
        "day": date(2025, 10, 1),
        "born": datetime(1, 1, 1, 0, 0, 0, 1),
        "seen": datetime(2025, 10, 1, 6, 30, 0, 500000, tzinfo=UTC),
        "long": "1 day",
        "at_noon": "12:00:00",
    }
    assert json.loads(row["doc"]) == {"k": [1, None]}


def test_values_that_no_calendar_or_decimal_has_set_their_row_aside(
    clients: dict[str, Any], reader: Any, tmp_path: Path
) -> None:
    columns = KEYED + (
        "      - {name: born, physicalName: BORN, physicalType: DATE}\n"
        "      - {name: price, physicalType: 'DECIMAL(12,2)'}\n"
        "      - {name: secret, physicalType: STRING, classification: pii,"
        " customProperties: [{property: protect, value: tokenise}]}\n"
    )
    ask(
        clients["redshift"],
        'CREATE TABLE shop.odd (a BIGINT, b TEXT, "at" timestamp, born date, price numeric(12,2), secret date)',
        "INSERT INTO shop.odd SELECT n, 'x', '2025-10-01 10:00', '2025-01-01', 1, '2000-01-01'"
        " FROM generate_series(10, 5000) n",
        "INSERT INTO shop.odd VALUES (1, 'x', '2025-10-01 10:00', 'infinity', 'NaN', 'infinity')",
        "INSERT INTO shop.odd VALUES (2, 'x', '2025-10-01 10:00', '10000-01-01', 2, '0055-03-15 BC')",
        "INSERT INTO shop.odd VALUES (3, 'x', '2025-10-01 10:00', '0044-03-15 BC', 3, NULL)",
        "INSERT INTO shop.odd VALUES (4, 'x', 'infinity', '2025-01-01', 3, NULL)",
    )
    made = contract(tmp_path, "redshift", "odd", columns)
    rows = {row["a"]: row for piece in slices(made, reader) for row in piece}
    assert len(rows) == 4995
    assert {n for n, row in rows.items() if row[FAULT]} == {1, 2, 3, 4}
    assert (rows[4][FAULT], rows[4][RAW]) == ("at_type", '{"at": "infinity"}')
    assert (rows[1][FAULT], json.loads(rows[1][RAW])) == ("born_type", {"born": "infinity", "price": "NaN"})
    assert (rows[2][FAULT], json.loads(rows[2][RAW])) == ("born_type", {"born": "10000-01-01"})
    assert (rows[2]["born"], rows[2]["price"], rows[3]["price"]) == (None, Decimal(2), Decimal(3))
    assert rows[2]["secret"] == "0055-03-15 BC"
    # Landed, its value is a token; and no fault tells it.
    feed = open_feed(made, made.source, reader)  # type: ignore[arg-type]
    land(made, feed, [Window(START, START + DAY)], (), str(tmp_path / "landing"), lambda: b"key", lambda line: None)
    files = sorted((tmp_path / "landing").glob("*.parquet"))
    assert [file.stem[:9] for file in files] == ["20251001T", "without_c"]
    secrets = pq.read_table(files[0], columns=["secret"]).column(0)
    assert (len(secrets), secrets.null_count) == (4994, 1)
    assert all(b"0055" not in file.read_bytes() for file in files)


def test_columns_of_now_are_what_comes(clients: dict[str, Any], reader: Any, tmp_path: Path) -> None:
    """CON-1: unknown ones too, by their very names; what is gone is left out; a cursor or key gone is an error."""
    columns = KEYED + "      - {name: gone, physicalType: STRING}\n"
    odd = '"q""uo`te%s; DROP TABLE x --"'
    ask(
        clients["redshift"],
        f'CREATE TABLE shop.drifting (a BIGINT, b TEXT, at timestamp, {odd} TEXT, "New" INT, "NEW" INT, "A" INT)',
        "INSERT INTO shop.drifting VALUES (1, 'x', '2025-10-01 10:00', 'odd', 1, 2, 3)",
    )
    made = contract(tmp_path, "redshift", "drifting", columns)
    feed = open_feed(made, made.source, reader)  # type: ignore[arg-type]
    land(made, feed, [Window(START, START + DAY)], (), str(tmp_path / "landing"), lambda: b"key", lambda line: None)
    (file,) = (tmp_path / "landing").glob("*.parquet")
    (row,) = pq.read_table(file).to_pylist()
    assert {name: value for name, value in row.items() if name.startswith("extra:")} == {
        'extra:q"uo`te%s; DROP TABLE x --': "odd",
        "extra:New": 1,
        "extra:NEW~2": 2,
        "extra:A": 3,
    }
    assert "gone" not in row
    reader.rollback()
    ask(clients["redshift"], "ALTER TABLE shop.drifting DROP COLUMN b", 'ALTER TABLE shop.drifting DROP COLUMN "at"')
    with pytest.raises(SourceColumnMissing, match=r"shop\.drifting has no column at, b"):
        slices(made, reader)
    ask(
        clients["snowflake"],
        'CREATE TABLE DRIFTING ("a" INT, "b" VARCHAR, "at" TIMESTAMP_NTZ, "we""ird%s" VARCHAR, PRICE NUMBER(18,2))',
        "INSERT INTO DRIFTING VALUES (1, 'x', '2025-10-01 10:00:00', 'odd', 1.5)",
    )
    ((row,),) = slices(contract(tmp_path, "snowflake", "DRIFTING", columns), clients["snowflake"])
    assert (row['we"ird%s'], row["PRICE"]) == ("odd", Decimal("1.50"))


def test_faults_are_named_and_tell_no_value(clients: dict[str, Any], reader: Any, tmp_path: Path) -> None:
    for kind, client in (("redshift", reader), ("snowflake", clients["snowflake"])):
        with pytest.raises(SourceTableMissing, match=r"NOWHERE.* does not exist") as told:
            slices(contract(tmp_path, kind, "NOWHERE"), client)
        assert told.value.__cause__ is None
        assert told.value.__suppress_context__
    reader.rollback()
    ask(
        clients["redshift"],
        "CREATE TABLE shop.slow AS SELECT 1 AS a, 'x' AS b, timestamp '2025-10-01 10:00' AS \"at\"",
        "CREATE VIEW shop.slower AS SELECT a, b, at, pg_sleep(5)::text AS z FROM shop.slow",
        "CREATE ROLE nobody_special",
    )
    ask(reader, "SET statement_timeout = '100ms'")
    with pytest.raises(SourceTimeout, match=r"57014"):
        slices(contract(tmp_path, "redshift", "slower"), reader)
    reader.rollback()
    ask(reader, "SET ROLE nobody_special")
    with pytest.raises(SourceDenied, match="may not be read"):
        slices(contract(tmp_path, "redshift", "slow"), reader)


def test_a_refused_login_is_named_and_shows_no_secret(clients: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KINDS:
        variable = f"AIRFLOW_CONN_{kind.upper()}_DEFAULT"
        told = {**json.loads(os.environ[variable]), "password": "hunter2"}
        monkeypatch.setenv(variable, json.dumps(told))
        with pytest.raises(connections.ConnectionRefused, match="refused the login") as refused:
            connections.open_source(f"{kind}_default")
        assert "hunter2" not in str(refused.value)
        assert refused.value.__suppress_context__
    monkeypatch.setenv(
        "AIRFLOW_CONN_REDSHIFT_DEFAULT",
        json.dumps({**json.loads(os.environ["AIRFLOW_CONN_REDSHIFT_DEFAULT"]), "port": 1}),
    )
    with pytest.raises(connections.ConnectionRefused, match="could not be reached"):
        connections.open_source("redshift_default")
