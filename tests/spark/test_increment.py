"""Increments: whatever comes in, in any order, a table brought up by its changes is the table computed in full (MOD-1).

Bronze gets random rows: new keys, later and earlier states of old ones, deletes, equal times, nulls. Silver (latest
state, a join of two aggregates, orders with what another table says of their hour) and gold (versions, an as-of join,
in one publish group) are run by increments; after each step they are compared with the same SQL over everything.
"""

from __future__ import annotations

import random
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse import paths
from lakehouse.config import settings
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import Branch, diff, fast_forward, feed_problem, latest_version, open_branch, table_sql
from lakehouse.ledger.events import read
from lakehouse.ledger.state import last_published
from lakehouse.ledger.windows import Window
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.publish import publish
from lakehouse.pipeline.spec import table_spec
from lakehouse.pipeline.transform import compute
from lakehouse.transform.increment import Increment, plan
from lakehouse.transform.inputs import register, resolve
from lakehouse.transform.keys import work_out
from lakehouse.transform.restate import Restate
from lakehouse.transform.scd2 import versions_sql
from lakehouse.transform.sql import parse_transform

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
team: {{name: Test, members: [{{username: test@shop.example}}]}}
customProperties:
{custom}
schema:
  - name: {table}
    properties:
{columns}
"""
SOURCE = (
    "- {property: source, value: {connection: c, type: snowflake, object: a.b, cursor: at, initialValue: 2025-01-01}}"
)
#: Table -> (key columns, other columns, custom properties, SQL).
TABLES: dict[str, tuple[str, str, str, str]] = {
    "bronze.c": ("cid BIGINT", "at TIMESTAMP, city STRING, gone BOOLEAN", SOURCE, ""),
    "bronze.o": ("oid BIGINT", "at TIMESTAMP, cid BIGINT, ts TIMESTAMP, amount BIGINT, gone BOOLEAN", SOURCE, ""),
    "bronze.r": ("hour TIMESTAMP", "at TIMESTAMP, rate BIGINT, gone BOOLEAN", SOURCE, ""),
    "silver.o": (
        "oid BIGINT",
        "cid BIGINT, ts TIMESTAMP, amount BIGINT",
        "- {property: strategy, value: merge}",
        """SELECT oid, cid, ts, amount FROM (
             SELECT *, row_number() OVER (PARTITION BY oid ORDER BY at DESC, _row_hash DESC) AS n FROM bronze.o
           ) AS ranked WHERE n = 1 AND NOT gone""",
    ),
    "silver.act": (
        "cid BIGINT",
        "orders BIGINT, total BIGINT, cities BIGINT",
        "- {property: strategy, value: merge}",
        """WITH a AS (
             SELECT cid, count(*) AS orders, sum(amount) AS total FROM silver.o WHERE cid IS NOT NULL GROUP BY cid),
             b AS (SELECT cid, count(DISTINCT city) AS cities FROM bronze.c GROUP BY cid)
           SELECT coalesce(a.cid, b.cid) AS cid, a.orders, a.total, b.cities
           FROM a FULL OUTER JOIN b ON a.cid = b.cid""",
    ),
    "silver.r": (
        "hour TIMESTAMP",
        "rate BIGINT",
        "- {property: strategy, value: merge}",
        """SELECT hour, rate FROM (
             SELECT *, row_number() OVER (PARTITION BY hour ORDER BY at DESC, _row_hash DESC) AS n FROM bronze.r
           ) AS ranked WHERE n = 1 AND NOT gone""",
    ),
    "silver.priced": (
        "oid BIGINT",
        "hour TIMESTAMP, amount BIGINT, rate BIGINT",
        "- {property: strategy, value: merge}",
        """WITH ranked AS (
             SELECT oid, ts, amount, gone, row_number() OVER (PARTITION BY oid ORDER BY at DESC, _row_hash DESC) AS n
             FROM bronze.o),
             placed AS (SELECT oid, date_trunc('HOUR', ts) AS hour, amount FROM ranked WHERE n = 1 AND NOT gone)
           SELECT placed.oid, placed.hour, placed.amount, r.rate
           FROM placed LEFT JOIN silver.r AS r ON placed.hour = r.hour""",
    ),
    "gold.dim_c": (
        "c_sk BIGINT",
        "cid BIGINT, valid_from TIMESTAMP, valid_to TIMESTAMP, is_current BOOLEAN, city STRING",
        """- {property: strategy, value: scd2}
           - {property: publishGroup, value: star}
           - property: scd2
             value: {surrogateKey: c_sk, tracked: [city], opensAt: "1900-01-01T00:00:00Z", unknownMember: {cid: -1}}""",
        "SELECT cid, at AS valid_from, city, gone AS _deleted, _row_hash AS _sequence FROM bronze.c",
    ),
    "gold.fact": (
        "oid BIGINT",
        "c_sk BIGINT, cid BIGINT, ts TIMESTAMP, amount BIGINT",
        "- {property: strategy, value: merge}\n- {property: publishGroup, value: star}",
        """SELECT o.oid, coalesce(d.c_sk, -1) AS c_sk, o.cid, o.ts, o.amount FROM silver.o AS o
           LEFT JOIN gold.dim_c AS d ON o.cid = d.cid AND o.ts >= d.valid_from AND o.ts < d.valid_to""",
    ),
    # The end of a version is in it, so rows long before that end differ.
    "gold.until": (
        "oid BIGINT",
        "cid BIGINT, ts TIMESTAMP, until TIMESTAMP",
        "- {property: strategy, value: merge}\n- {property: publishGroup, value: star}",
        """SELECT o.oid, o.cid, o.ts, d.valid_to AS until FROM silver.o AS o
           LEFT JOIN gold.dim_c AS d ON o.cid = d.cid AND o.ts >= d.valid_from AND o.ts < d.valid_to""",
    ),
    # Its input has rows without a key, and some with that of the unknown member.
    "gold.dim_o": (
        "o_sk BIGINT",
        "cid BIGINT, valid_from TIMESTAMP, valid_to TIMESTAMP, is_current BOOLEAN, amount BIGINT",
        """- {property: strategy, value: scd2}
           - property: scd2
             value: {surrogateKey: o_sk, tracked: [amount], unknownMember: {cid: 0}}""",
        """SELECT cid, at AS valid_from, amount, gone AS _deleted, _row_hash AS _sequence
           FROM bronze.o WHERE cid IS NOT NULL""",
    ),
    # What it carries is the last of its time, which may be gone by the next load.
    "gold.dim_carried": (
        "carried_sk BIGINT",
        "cid BIGINT, valid_from TIMESTAMP, valid_to TIMESTAMP, is_current BOOLEAN, amount BIGINT, ts TIMESTAMP",
        """- {property: strategy, value: scd2}
           - property: scd2
             value: {surrogateKey: carried_sk, key: [cid], tracked: [amount]}""",
        """SELECT cid, at AS valid_from, amount, ts, gone AS _deleted, _row_hash AS _sequence
           FROM bronze.o WHERE cid IS NOT NULL""",
    ),
    # Its keys change in two ways, one of which has no time.
    "gold.dim_two": (
        "two_sk BIGINT",
        "cid BIGINT, valid_from TIMESTAMP, valid_to TIMESTAMP, is_current BOOLEAN, city STRING, orders BIGINT",
        """- {property: strategy, value: scd2}
           - property: scd2
             value: {surrogateKey: two_sk, tracked: [city, orders], opensAt: "1900-01-01T00:00:00Z"}""",
        """SELECT c.cid, c.at AS valid_from, c.city, a.orders, c.gone AS _deleted, c._row_hash AS _sequence
           FROM bronze.c AS c LEFT JOIN silver.act AS a ON c.cid = a.cid""",
    ),
}
COMPUTED = [name for name, (*_, sql) in TABLES.items() if sql]
START = datetime(2025, 1, 1, tzinfo=UTC)


def audited(batch: Batch) -> Batch:
    """As if a gate had let it pass: this is about content."""
    return replace(batch, audited=diff(Branch.from_json(batch.branch)).fingerprint) if batch.branch else batch


class Shop:
    """The tables of this test, fed and run."""

    def __init__(self, spark: Any, root: Path, seed: int) -> None:
        self.spark, self.random, self.steps = spark, random.Random(seed), 0
        self.contracts: dict[str, Contract] = {}
        for name, (key, rest, custom, sql) in TABLES.items():
            folder = root / name.replace(".", "/")
            folder.mkdir(parents=True)
            columns = [(c, True) for c in key.split(", ")] + [(c, False) for c in rest.split(", ")]
            lines = [
                f"- {{name: {c.split()[0]}, physicalType: {c.split()[1]}"
                + (", primaryKey: true, required: true}" if keyed else "}")
                for c, keyed in columns
            ]
            text = HEAD.format(
                name=name,
                table=name.partition(".")[2],
                custom=textwrap.indent(textwrap.dedent(custom.replace("\n           ", "\n")), "  "),
                columns=textwrap.indent("\n".join(lines), "      "),
            )
            (folder / "contract.odcs.yaml").write_text(text)
            if sql:
                (folder / "transform.sql").write_text(sql)
            self.contracts[name] = load_contract(folder)

    def moment(self) -> str:
        return f"TIMESTAMP '{START + timedelta(hours=self.random.randrange(12)):%Y-%m-%d %H:%M:%S}'"

    def feed(self, customers: int, orders: int, rates: int = 2) -> None:
        """Append random states to bronze, by a publish each."""
        pick, self.steps = self.random, self.steps + 1
        for table, count in (("bronze.c", customers), ("bronze.o", orders), ("bronze.r", rates)):
            rows = []
            for _ in range(count):
                gone = str(pick.random() < 0.2).lower()
                cid = pick.choice(["NULL", *map(str, range(4))]) if table == "bronze.o" else str(pick.randrange(4))
                if table == "bronze.c":
                    rows.append(f"({cid}, {self.moment()}, '{pick.choice('xyz')}', {gone}")
                elif table == "bronze.r":
                    rows.append(f"({self.moment()}, {self.moment()}, {pick.randrange(5)}, {gone}")
                else:
                    amount = pick.randrange(5)
                    rows.append(f"({pick.randrange(8)}, {self.moment()}, {cid}, {self.moment()}, {amount}, {gone}")
            if not rows:
                continue
            path, spec = paths.table(table), table_spec(self.contracts[table])
            branch = open_branch(path, f"{path}/_branch/s{self.steps}/1", spec, "append")
            names = [c.name for c in self.contracts[table].columns]
            hashed = ", ".join(f"{row}, {pick.getrandbits(40)})" for row in rows)
            self.spark.sql(
                f"INSERT INTO {table_sql(branch.path)} ({', '.join(names)}, _row_hash) SELECT * FROM VALUES {hashed}"
            ).collect()
            fast_forward(branch, f"s{self.steps}", 1, {})

    def run(self) -> None:
        """Every computed table, the star as a group."""
        run = Run(f"run{self.steps}", "scheduled", end=START + timedelta(days=self.steps))
        star: dict[str, Batch] = {}
        for name in COMPUTED:
            contract = self.contracts[name]
            batch = audited(compute(contract, run, star))
            if contract.publish_group:
                star[name] = batch
            else:
                publish([batch], lambda batch, candidates: pytest.fail("conflict"))
        publish(list(star.values()), lambda batch, candidates: pytest.fail("conflict"))

    def check(self, names: Sequence[str] = COMPUTED) -> None:
        for name in names:
            contract, transform = self.contracts[name], parse_transform(self.contracts[name].path.parent)
            query = transform.over(register(self.spark, resolve(name, transform.reads, {})))
            if contract.scd2:
                query = versions_sql(contract, contract.scd2, f"({query})")
            columns = ", ".join(f"CAST({c.name} AS {c.type}) AS {c.name}" for c in contract.columns)
            wanted = Counter(map(tuple, self.spark.sql(f"SELECT {columns} FROM ({query})").collect()))
            names = ", ".join(c.name for c in contract.columns)
            there = self.spark.sql(f"SELECT {names} FROM {table_sql(paths.table(name))}").collect()
            assert Counter(map(tuple, there)) == wanted, name


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect_server: str) -> Path:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKEHOUSE_TABLES", str(tmp_path / "tables"))
    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", connect_server)
    monkeypatch.setenv("LAKEHOUSE_INCREMENTS_FROM", "0")
    settings.cache_clear()
    return tmp_path


def planned(shop: Shop, name: str) -> Increment | str:
    contract = shop.contracts[name]
    transform = parse_transform(contract.path.parent)
    inputs = resolve(name, transform.reads, {})
    last, latest = last_published(read(name)), latest_version(paths.table(name))
    return plan(contract, transform, inputs, last, latest, settings().increments_from_bytes)


@pytest.mark.long(190)
def test_increments_are_what_computing_in_full_is(spark: Any, home: Path) -> None:
    shop = Shop(spark, home / "tables", seed=7)
    shop.feed(6, 12)
    assert planned(shop, "silver.o") == "it is the first load"
    shop.run()
    shop.check()
    for customers, orders in ((3, 0), (1, 4)):
        shop.feed(customers, orders)
        for name in COMPUTED[:2]:
            assert isinstance(planned(shop, name), Increment), name
        shop.run()
        shop.check()
    # Rates alone: the orders of their hours are found in the table as it is, and only they are computed, by their key.
    shop.feed(0, 0, 40)
    run = Run("rates", "scheduled", end=START)
    publish([audited(compute(shop.contracts["silver.r"], run))], lambda batch, candidates: pytest.fail("conflict"))
    found = planned(shop, "silver.priced")
    assert isinstance(found, Increment)
    assert [handle.table for handle in found.handles] == ["silver.r"]
    priced = table_sql(paths.table("silver.priced"))
    affected, held = work_out(spark, shop.contracts["silver.priced"], priced, found, {})
    (keys,) = affected
    assert keys.columns == ("oid",)
    changed = {row.hour for row in spark.sql("SELECT * FROM found_0").collect()}
    orders = spark.sql(f"SELECT oid, hour FROM {priced}").collect()
    assert {row.oid for row in spark.sql(f"SELECT oid FROM {keys.view}").collect()} == {
        row.oid for row in orders if row.hour in changed
    }
    for frame in held:
        frame.unpersist()
    shop.run()
    shop.check()
    # A publish that the table's ledger does not know of, say a revert: everything is looked at again.
    path = paths.table("silver.o")
    branch = open_branch(path, f"{path}/_branch/hand/1", table_spec(shop.contracts["silver.o"]), "clone")
    spark.sql(f"DELETE FROM {table_sql(branch.path)} WHERE oid < 4").collect()
    fast_forward(branch, "hand", 1, {})
    assert planned(shop, "silver.o") == "rows were changed after its last publish"
    shop.feed(0, 1)
    shop.run()
    shop.check()
    # What the contract declares goes before what the SQL says.
    shop.feed(1, 0)
    contract = shop.contracts["silver.act"]
    shop.contracts["silver.act"] = replace(
        contract, affected_keys={"bronze.c": {"cid": "cid"}, "silver.o": {"cid": "cid"}}
    )
    found = planned(shop, "silver.act")
    assert isinstance(found, Increment)
    assert [(h.table, h.pairs) for h in found.handles] == [("bronze.c", (("cid", "cid"),))]
    # Changes that cannot be read any more.
    version = latest_version(paths.table("bronze.c"))
    assert feed_problem(paths.table("bronze.c"), version, version) == ""
    assert "no longer in the log" in feed_problem(paths.table("bronze.c"), version, version + 1)
    next(Path(paths.table("bronze.c")).glob(f"_branch/s{shop.steps}/1/*.parquet")).unlink()
    assert "was vacuumed" in str(planned(shop, "silver.act"))


@pytest.mark.long(60)
def test_versions_of_a_range_are_made_of_all_that_is_known(spark: Any, home: Path) -> None:
    shop = Shop(spark, home / "tables", seed=11)
    for _ in range(3):
        shop.feed(6, 8)
    shop.run()
    some = Restate(Window(START + timedelta(hours=3), START + timedelta(hours=6)))
    for name in ("gold.dim_c", "gold.dim_o", "gold.dim_two"):
        batch = audited(compute(shop.contracts[name], Run("again", "backfill", end=START), None, some))
        publish([batch], lambda batch, candidates: pytest.fail("conflict"))
    shop.check()


@pytest.mark.long(60)
def test_readers_of_what_is_worked_again_are_worked_again_too(spark: Any, home: Path) -> None:
    shop = Shop(spark, home / "tables", seed=5)
    shop.feed(6, 12)
    shop.run()
    slow, quick = (Run(name, "scheduled", end=START) for name in ("slow", "quick"))

    def worked(name: str, run: Run, candidates: Mapping[str, Batch] | None = None) -> Batch:
        return audited(compute(shop.contracts[name], run, candidates))

    shop.feed(2, 6)
    publish([worked("silver.o", quick)], lambda batch, candidates: pytest.fail("conflict"))
    star: dict[str, Batch] = {}
    for name in ("gold.dim_c", "gold.fact", "gold.until"):
        star[name] = worked(name, slow, star)
    # Another run knows more of the customers, publishes them, and dies.
    shop.feed(6, 0)
    publish([worked("gold.dim_c", quick)], lambda batch, candidates: pytest.fail("conflict"))
    again = []

    def redo(batch: Batch, candidates: Mapping[str, Batch]) -> Batch:
        again.append(batch.table)
        return worked(batch.table, slow, candidates)

    publish(list(star.values()), redo)
    assert again == list(star)
    shop.check(list(star))


def test_small_inputs_are_read_in_full(spark: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_INCREMENTS_FROM", "1000000")
    settings.cache_clear()
    shop = Shop(spark, home / "tables", seed=1)
    shop.feed(2, 2)
    run = Run("run", "scheduled", end=START)
    publish([audited(compute(shop.contracts["silver.o"], run))], lambda batch, candidates: pytest.fail("conflict"))
    assert "are small" in str(planned(shop, "silver.o"))
