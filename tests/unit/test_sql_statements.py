"""What the SQL feeds send: slices and unloads, word for word, and what contracts may ask of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.config import PROJECT
from lakehouse.contracts import ContractError, load_contract
from lakehouse.ingest.feed import Slice
from lakehouse.ingest.sql import unload
from lakehouse.ingest.sql.engine import SourceColumn, engine_of
from lakehouse.ingest.sql.feed import SqlFeed
from lakehouse.ingest.sql.snowflake import Snowflake
from lakehouse.ingest.sql.values import decode, encode
from lakehouse.ledger.windows import Window

LINES = load_contract(PROJECT / "include" / "tables" / "bronze" / "order_items")
START = datetime(2025, 10, 1, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))
COLUMNS = [
    SourceColumn("ORDER_ID", pa.int64()),
    SourceColumn("LINE_NUMBER", pa.int64()),
    SourceColumn("UPDATED_AT", pa.timestamp("us")),
    SourceColumn("NEW", pa.string()),
]
LOW, HIGH = datetime(2025, 9, 30, 18, 0, 0, 1), datetime(2025, 10, 2, 0, 0, 0, 1)
SPAN = '"UPDATED_AT" >= %(p0)s AND "UPDATED_AT" < %(p1)s'


class Told(Snowflake):
    """Snowflake with answers of ours. Notes what it was asked."""

    def __init__(self, *answers: list[tuple[Any, ...]]) -> None:
        self.answers, self.asked = list(answers), []  # type: ignore[var-annotated]

    def describe(self, connection: Any, probe: Any) -> list[SourceColumn]:
        self.asked.append((probe.text, probe.values))
        return COLUMNS

    def rows(self, connection: Any, statement: Any) -> list[tuple[Any, ...]]:
        self.asked.append((statement.text, statement.values))
        return self.answers.pop(0)

    def batches(self, connection: Any, statement: Any, columns: Sequence[SourceColumn], names: Any) -> Iterator[Any]:
        self.asked.append((statement.text, statement.values))
        return iter(())


def sql_feed(engine: Any, connection: Any = None, **options: Any) -> SqlFeed:
    assert LINES.source
    return SqlFeed(LINES, replace(LINES.source, options=options), connection, engine)


def test_a_window_of_few_rows_is_counted_and_read_whole() -> None:
    engine = Told([(3,)], [(0,)])
    feed = sql_feed(engine)
    (piece,) = feed.plan([WINDOW], ())
    list(feed.read(piece))
    table = '"SHOP"."PUBLIC"."ORDER_ITEMS"'
    probe, counted, without, read = engine.asked
    assert probe == (f"SELECT * FROM {table} WHERE 1 = 0", {})
    assert counted == (f"SELECT COUNT(*) FROM {table} WHERE {SPAN}", {"p0": LOW, "p1": HIGH})
    assert without[0] == (
        f'SELECT COUNT(*) FROM {table} WHERE "UPDATED_AT" IS NULL OR "UPDATED_AT" < %(p0)s OR "UPDATED_AT" > %(p1)s'
    )
    assert read == (
        f'SELECT "ORDER_ID", "LINE_NUMBER", "UPDATED_AT", "NEW" FROM {table} WHERE {SPAN}',
        {"p0": LOW, "p1": HIGH},
    )


def test_many_rows_are_cut_at_points_the_source_names() -> None:
    at = datetime(2025, 10, 1, 12)
    engine = Told([(25,)], [(at, 1, None), (at, 1, None), (at, 7, 2)], [(0,)])
    feed = sql_feed(engine, sliceRows=10)
    first, middle, last = feed.plan([WINDOW], ())
    asked = engine.asked[2]
    cursor = "DATE_TRUNC('MICROSECOND', \"UPDATED_AT\")"
    assert asked[0] == (
        f'SELECT b0, b1, b2 FROM (SELECT {cursor} AS b0, "ORDER_ID" AS b1, "LINE_NUMBER" AS b2, '
        f'ROW_NUMBER() OVER (ORDER BY {cursor}, "ORDER_ID", "LINE_NUMBER") AS n '
        f'FROM "SHOP"."PUBLIC"."ORDER_ITEMS" WHERE {SPAN}) AS ranked '
        "WHERE n %% %(p2)s = 0 AND n < %(p3)s ORDER BY n"
    )
    assert asked[1] == {"p0": LOW, "p1": HIGH, "p2": 10, "p3": 25}
    assert [piece.spec["after"] for piece in (first, middle, last)] == [
        None,
        [{"datetime": at.isoformat()}, 1, None],
        [{"datetime": at.isoformat()}, 7, 2],
    ]
    list(feed.read(middle))
    text, values = engine.asked[-1]
    said = text.partition("WHERE ")[2]
    for name, value in values.items():
        said = said.replace(f"%({name})s", f"<{value}>")
    assert said == (
        f'("UPDATED_AT" >= <{LOW}> AND "UPDATED_AT" < <{HIGH}>) '
        f"AND {cursor} >= <{at}> AND (COALESCE({cursor} > <{at}>, TRUE) OR ({cursor} = <{at}> AND "
        f'(COALESCE("ORDER_ID" > <1>, TRUE) OR ("ORDER_ID" = <1> AND FALSE)))) '
        f"AND {cursor} <= <{at}> AND NOT ((COALESCE({cursor} > <{at}>, TRUE) OR ({cursor} = <{at}> AND "
        f'(COALESCE("ORDER_ID" > <7>, TRUE) OR ("ORDER_ID" = <7> AND COALESCE("LINE_NUMBER" > <2>, TRUE))))))'
    )


def test_percent_signs_in_names_are_no_parameters() -> None:
    engine = Told()
    assert LINES.source
    feed = SqlFeed(LINES, replace(LINES.source, object='a%s."b'), None, engine)
    spec = {"low": START.isoformat(), "high": START.isoformat()}
    list(feed.read(Slice("x", spec)))
    probe, read = engine.asked
    assert probe[0] == 'SELECT * FROM "a%s"."""b" WHERE 1 = 0'
    assert 'FROM "a%%s"."""b" WHERE' in read[0]


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.text(),
            st.floats(allow_nan=False),
            st.decimals(allow_nan=False),
            st.binary(),
            st.dates(),
            st.datetimes(timezones=st.sampled_from([None, UTC])),
        )
    )
)
def test_points_go_through_json(point: list[Any]) -> None:
    back = decode(json.loads(json.dumps(encode(point))))
    assert back == point
    assert [type(value) for value in back] == [type(value) for value in point]


class Client:
    """A DB-API connection that notes statements."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def cursor(self) -> Client:
        return self

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def execute(self, text: str) -> None:
        self.said.append(text)

    def commit(self) -> None:
        self.said.append("COMMIT")


class Store:
    """S3 with what the engine has written, whatever it was told."""

    def __init__(self, table: pa.Table) -> None:
        body = BytesIO()
        pq.write_table(table, body)
        self.objects = {"landing/x/run/0": body.getvalue(), "landing/x/run/1": body.getvalue()}
        self.folder = ""

    def get_paginator(self, name: str) -> Store:
        assert name == "list_objects_v2"
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:
        self.folder = f"{Bucket}/{Prefix}"
        return [{}, {"Contents": [{"Key": key} for key in reversed(self.objects)]}]

    def download_fileobj(self, bucket: str, key: str, spool: Any) -> None:
        spool.write(self.objects[key])

    def delete_object(self, Bucket: str, Key: str) -> None:
        del self.objects[Key]


UNLOADED = {
    "snowflake": (
        {"to": "s3://bucket/landing/x", "stage": "SHOP.PUBLIC.OUT"},
        [
            'REMOVE @"SHOP"."PUBLIC"."OUT"/run/',
            'COPY INTO @"SHOP"."PUBLIC"."OUT"/run/ FROM (SELECT "ORDER_ID", "LINE_NUMBER", '
            'TO_VARCHAR("UPDATED_AT", \'YYYY-MM-DD HH24:MI:SS.FF6\') AS "UPDATED_AT", "NEW" '
            'FROM "SHOP"."PUBLIC"."ORDER_ITEMS" WHERE '
            "\"UPDATED_AT\" >= CAST('2025-09-30 18:00:00.000001' AS TIMESTAMP) AND "
            "\"UPDATED_AT\" < CAST('2025-10-02 00:00:00.000001' AS TIMESTAMP)) "
            "FILE_FORMAT = (TYPE = PARQUET) HEADER = TRUE MAX_FILE_SIZE = 268435456",
            "COMMIT",
        ],
    ),
    "redshift": (
        {"to": "s3://bucket/landing/x/", "iamRole": "arn:aws:iam::1:role/unload"},
        [
            'UNLOAD (\'SELECT "ORDER_ID", "LINE_NUMBER", '
            'TO_CHAR("UPDATED_AT", \\\'YYYY-MM-DD HH24:MI:SS.US\\\') AS "UPDATED_AT", "NEW" '
            'FROM "SHOP"."PUBLIC"."ORDER_ITEMS" WHERE '
            "\"UPDATED_AT\" >= CAST(\\'2025-09-30 18:00:00.000001\\' AS TIMESTAMP) AND "
            "\"UPDATED_AT\" < CAST(\\'2025-10-02 00:00:00.000001\\' AS TIMESTAMP)') "
            "TO 's3://bucket/landing/x/run/' IAM_ROLE 'arn:aws:iam::1:role/unload' "
            "FORMAT AS PARQUET CLEANPATH MAXFILESIZE 256 MB",
            "COMMIT",
        ],
    ),
}


@pytest.mark.parametrize("kind", UNLOADED)
def test_an_unload_is_one_statement_a_window_and_its_objects_are_the_rows(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, statements = UNLOADED[kind]
    client, engine = Client(), engine_of(kind)
    monkeypatch.setattr(type(engine), "describe", lambda *_: COLUMNS)
    table = {"ORDER_ID": [Decimal(1)], "LINE_NUMBER": [2], "UPDATED_AT": ["2025-10-01 10:00:00.000001"], "NEW": ["n"]}
    store = Store(pa.table(table))
    monkeypatch.setattr(unload, "_store", lambda: store)
    feed = sql_feed(engine, client, unload=options)
    window, without = feed.plan([WINDOW], ())
    assert without.spec["low"] is None
    assert window.spec["unload"] != feed.plan([WINDOW], ())[0].spec["unload"]  # Two loads at once have folders apart.
    rows = [row for b in feed.read(replace(window, spec={**window.spec, "unload": "run"})) for row in b.to_pylist()]
    assert client.said == statements
    assert store.folder == "bucket/landing/x/run/"
    assert [(row["ORDER_ID"], row["UPDATED_AT"], row["NEW"]) for row in rows] == [
        (1, datetime(2025, 10, 1, 10, 0, 0, 1), "n")
    ] * 2
    assert store.objects == {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("{sliceRows: 0}", "sliceRows is 0"),
        ("{sliceRows: many}", "is no int"),
        ("{unload: {to: 's3://b/p'}}", "needs exactly to and stage"),
        ("{unload: {to: 'b/p', stage: S}}", "to 'b/p' does not look right"),
        ("{unload: {to: 's3://b/p', stage: 'S/../x; DROP'}}", "stage 'S/../x; DROP' does not look right"),
        ("{unload: {to: 's3://b/p', stage: S}}", "an unload would write email, full_name, phone to S3"),
    ],
)
def test_wrong_options_are_refused_with_their_line(tmp_path: Path, options: str, told: str) -> None:
    folder = tmp_path / "bronze" / "customers"
    folder.mkdir(parents=True)
    text = (PROJECT / "include" / "tables" / "bronze" / "customers" / "contract.odcs.yaml").read_text()
    text = text.replace("      cursor: updated_at\n", f"      cursor: updated_at\n      options: {options}\n")
    (folder / "contract.odcs.yaml").write_text(text)
    line = text[: text.index("      options:")].count("\n") + 1
    with pytest.raises(ContractError, match=f"contract.odcs.yaml:{line}: .*{told}"):
        load_contract(folder)
