"""A lake of one gold table, written by delta-rs as Spark's merges write it, and what the warehouse holds of it."""

from __future__ import annotations

import multiprocessing
import os
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import deltalake
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import snowflake.connector  # noqa: F401

from lakehouse import connections, paths, warehouse
from lakehouse.config import settings
from lakehouse.contracts import load_contract
from lakehouse.delta import ColumnSpec, TableSpec, create_table, latest_version, store

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: gold.things
version: 1.0.0
status: active
description: {{purpose: A table of a test.}}
team: {{name: Test, members: [{{username: owner@test.example}}]}}
schema:
  - name: things
    properties:
      - {{name: id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1}}
      - {{name: part, physicalType: STRING, primaryKey: true, primaryKeyPosition: 2}}
{columns}
customProperties:
  - {{property: strategy, value: merge}}
{custom}
"""
COLUMNS = {
    "amount": "DECIMAL(18,2)",
    "large": "DECIMAL(38,10)",
    "number": "INT",
    "at": "TIMESTAMP",
    "day": "DATE",
    "note": "STRING",
    "flag": "BOOLEAN",
    "ratio": "DOUBLE",
    "raw": "BINARY",
}
TARGET = '"SHOP"."LAKEHOUSE_GOLD"."THINGS"'
CONTROL = '"SHOP"."LAKEHOUSE_GOLD"."_LAKEHOUSE_PUBLISHED"'
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("part", pa.string()),
        ("amount", pa.decimal128(18, 2)),
        ("large", pa.decimal128(38, 10)),
        ("number", pa.int32()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("day", pa.date32()),
        ("note", pa.string()),
        ("flag", pa.bool_()),
        ("ratio", pa.float64()),
        ("raw", pa.binary()),
    ]
)


class Things:
    """gold.things: rows by (id, part)."""

    def __init__(self, home):
        """Point this process at `home`, with no table yet."""
        self.folder = home / "tables" / "gold" / "things"
        self.folder.mkdir(parents=True)
        (self.folder / "transform.sql").write_text("SELECT 1 AS id, 'a' AS part\n")
        self.contract()

    def contract(self, custom="", **more):
        columns = "\n".join(f"      - {{name: {n}, physicalType: '{t}'}}" for n, t in {**COLUMNS, **more}.items())
        (self.folder / "contract.odcs.yaml").write_text(CONTRACT.format(columns=columns, custom=custom))
        return load_contract(self.folder)

    @property
    def path(self):
        return paths.table("gold.things")

    def make(self):
        """The table, empty, as the engine makes it."""
        given = [ColumnSpec("id", "BIGINT"), ColumnSpec("part", "STRING"), *(ColumnSpec(*c) for c in COLUMNS.items())]
        create_table(self.path, TableSpec((*given, ColumnSpec("_batch_id", "STRING"))))

    def upsert(self, rows):
        """One MERGE: `rows` is {(id, part): note}; other columns follow from these, nulls among them."""
        table = store.delta_table(self.path)
        on = "t.id = s.id AND t.part = s.part"
        merge = table.merge(values(rows), on, source_alias="s", target_alias="t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()

    def delete(self, key):
        store.delta_table(self.path).delete(f"id = {key[0]} AND part = '{key[1]}'")

    def rebuild(self, rows):
        """Every file anew: no change feed files, only adds and removes."""
        deltalake.write_deltalake(self.path, values(rows), mode="overwrite")

    def optimize(self):
        store.delta_table(self.path).optimize.compact()

    @property
    def version(self):
        return latest_version(self.path)

    def rows(self, version=None):
        """What the lake holds, in the warehouse's terms."""
        found = store.delta_table(self.path, version).to_pyarrow_table().select(SCHEMA.names).to_pylist()
        return sorted((tuple(row.values()) for row in found), key=lambda row: row[:2])

    def publish(self, whole=False):
        with closing(connections.open_source("snowflake_default")) as opened:
            return warehouse.publish(load_contract(self.folder), opened, whole)


def values(rows):
    made = []
    for (number, part), note in rows.items():
        weight = sum(map(ord, note or ""))
        some = weight % 3 or None
        made.append(
            {
                "id": number,
                "part": part,
                "amount": some and Decimal(weight * 7 - number).scaleb(-2),
                "large": some and Decimal(10**27 + weight).scaleb(-10),
                "number": some and weight - 2**30,
                "at": some and datetime(2025, 10, 1, tzinfo=UTC) + timedelta(microseconds=weight * 1_000_003),
                "day": some and date(2025, 10, 1) + timedelta(weight % 40),
                "note": note,
                "flag": some and weight % 2 == 0,
                "ratio": some and weight / 7,
                "raw": some and bytes([0, 255, weight % 256]),
            }
        )
    table = pa.Table.from_pylist(made, SCHEMA)
    return table.append_column("_batch_id", pa.array(["b"] * len(made), pa.string()))


def ask(sql):
    """Rows of a statement in the warehouse."""
    with closing(connections.open_source("snowflake_default")) as opened, opened.cursor() as cursor:
        opened.arrow_number_to_decimal_setter = True
        cursor.execute(sql)
        return cursor.fetchall()


def there():
    """What the warehouse holds, as `Things.rows` has it."""
    names = ", ".join(f'"{name.upper()}"' for name in SCHEMA.names)
    found = []
    for row in ask(f"SELECT {names} FROM {TARGET}"):
        values = dict(zip(SCHEMA.names, row, strict=True))
        whole = {n: int(v) for n in ("id", "number") if (v := values[n]) is not None}
        found.append(tuple({**values, **whole, "raw": values["raw"] and bytes(values["raw"])}.values()))
    return sorted(found, key=lambda row: row[:2])


def control():
    """(version, rows) that the warehouse says it holds."""
    rows = ask(f"SELECT VERSION, ROW_COUNT FROM {CONTROL}")
    assert len(rows) == 1
    return tuple(int(value) for value in rows[0])


def _publish(environment, folder):
    os.environ.update(environment)
    settings.cache_clear()
    with closing(connections.open_source("snowflake_default")) as opened:
        warehouse.publish(load_contract(folder), opened)


def attempt(things, kill=""):
    """A publish in a process of its own, started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    told = {n: v for n, v in os.environ.items() if n.startswith(("AIRFLOW_CONN_", "LAKEHOUSE_"))}
    process = context.Process(target=_publish, args=({**told, "LAKEHOUSE_KILL_POINT": kill}, things.folder))
    process.start()
    return process
