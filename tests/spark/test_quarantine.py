"""Rows at fault are set aside alike, come they with the counts of the append or are read again (CON-2, CON-3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.bronze import quarantine, seen
from lakehouse.bronze.judge import cast
from lakehouse.bronze.landed import landed
from lakehouse.bronze.load import LoadStamp, _known, load
from lakehouse.bronze.repeated import may_repeat
from lakehouse.config import settings
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import fast_forward, open_branch, read_rows
from lakehouse.errors import LakehouseError
from lakehouse.ledger import Window
from lakehouse.paths import error_lane, ops, table
from lakehouse.pipeline.spec import table_spec

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bronze.parcels
version: 1.0.0
status: active
team: {name: Depot, members: [{username: depot@shop.example}]}
customProperties:
  - property: source
    value: {connection: snowflake_default, type: snowflake, object: A.B, cursor: at, initialValue: 2025-01-01}
  - {property: quarantineThreshold, value: 1}
schema:
  - name: parcels
    properties:
      - {name: id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: at, physicalType: TIMESTAMP, required: true}
      - {name: price, physicalType: "DECIMAL(10,2)", logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: note, physicalType: STRING, logicalType: string, logicalTypeOptions: {maxLength: 5000}, required: true}
    quality:
      - {name: dear, type: custom, engine: sparkSql, implementation: "price IS NULL OR price < 1000 -- in euros"}
"""
NOON = datetime(2025, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
WINDOW = (Window(NOON - timedelta(days=1), NOON + timedelta(days=1)),)
GOOD = {"id": "1", "at": NOON, "price": "1.5", "note": "good"}
BAD = [
    {"id": "2", "at": NOON, "price": "-1", "note": '\'\\"\t\u2028 é😀 {"a": [null]}'},
    {"id": "3", "at": NOON, "price": "cheap", "note": None},
    {"id": None, "at": None, "price": "1", "note": "nowhere, never"},
    {"id": "4x", "at": NOON + timedelta(microseconds=1), "price": None, "note": "two reasons"},
    {"id": "3", "at": NOON, "price": "cheap", "note": None},
]
LONG = {"id": "5", "at": NOON, "price": "1", "note": "long " * 1001}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    folder = tmp_path / "tables" / "bronze" / "parcels"
    folder.mkdir(parents=True)
    (folder / "contract.odcs.yaml").write_text(CONTRACT)
    return load_contract(folder)


def loaded(
    spark: Any, contract: Contract, home: Path, *loads: list[dict[str, Any]], first: int = 0
) -> list[dict[str, int]]:
    """The counts of each of `loads`, numbered from `first`."""
    assert contract.source
    found = []
    for number, rows in enumerate(loads, first):
        folder = home / f"landing{number}"
        folder.mkdir(parents=True)
        kinds = [("id", pa.string()), ("at", pa.timestamp("us", "UTC")), ("price", pa.string()), ("note", pa.string())]
        pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(kinds)), folder / "rows.parquet")
        path = table(contract.name)
        branch = open_branch(path, f"{path}/_branch/b{number}/1", table_spec(contract), "append")
        stamp = LoadStamp(f"b{number}", 1, "a", "run", NOON, "2025-01-01", "0" * 32)
        found.append(load(contract, contract.source, branch, landed(spark, str(folder)), {}, WINDOW, stamp))
        fast_forward(branch, f"b{number}", 1, {})
    return found


def entries() -> list[dict[str, Any]]:
    return sorted(read_rows(ops("quarantine")), key=lambda entry: str(entry["quarantine_id"]))


@pytest.mark.long(35)
@pytest.mark.parametrize("last", [BAD[1], LONG], ids=["short", "long"])
def test_every_way_sets_the_same_rows_aside(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: dict[str, Any]
) -> None:
    """Seen as they pass or asked for apart (`many`), and then read again or not.

    `long`: a row too large to travel makes the second load read its rows again, whatever the first did.
    """
    told = {}
    for way in product((10_000, 1), (1, 1000)):
        few, many = way
        monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / f"{few}-{many}"))
        settings.cache_clear()
        monkeypatch.setattr(seen, "FEW", few)
        monkeypatch.setattr("lakehouse.bronze.load.MANY", many)
        counts = loaded(spark, contract, tmp_path / f"{few}-{many}", [GOOD, *BAD], [*BAD[:2], GOOD, last])
        lane = Path(error_lane(contract.name, "2025-01-01", "b0")) / "part-00000.json"
        told[way] = counts, entries(), sorted(lane.read_text().strip().split("\n"))
    one = next(iter(told.values()))
    assert all(other == one for other in told.values())
    counts, held, lane = one
    assert [c["quarantined"] for c in counts] == [4, int(last is LONG)]
    assert {json.loads(entry["key"]).get("id") for entry in held} == {2, 3, None, 5} - (
        {5} if last is not LONG else set()
    )
    assert len(lane) == 4
    by_note = {json.loads(entry["row"]).get("note"): entry for entry in held}
    assert by_note["two reasons"]["reasons"] == ["id_type", "id_not_null"]
    assert by_note["two reasons"]["cursor"] == NOON + timedelta(microseconds=1)
    assert by_note["nowhere, never"]["cursor"] is None
    assert by_note[BAD[0]["note"]]["reasons"] == ["price_in_range"]


def test_of_loads_that_look_at_once_one_sets_a_row_aside(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CON-3: between what a load reads of quarantine and what it adds, another one of the table adds the same."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    others: list[dict[str, int]] = []

    def meanwhile(point: str) -> None:
        if point == "quarantine.written":
            monkeypatch.undo()
            monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
            settings.cache_clear()
            others.extend(loaded(spark, contract, tmp_path / "home", [BAD[0]], first=2))

    loaded(spark, contract, tmp_path / "home", [GOOD])
    monkeypatch.setattr(quarantine, "reach", meanwhile)
    (counts,) = loaded(spark, contract, tmp_path / "home", BAD[:2], first=1)
    assert [one["quarantined"] for one in (*others, counts)] == [1, 1]
    assert len({entry["quarantine_id"] for entry in entries()}) == len(entries()) == 2


def test_what_a_source_hands_over_outside_of_the_window_is_loaded_once(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ING-2: as from an API that knows whole days only."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    assert contract.source
    http = replace(contract, source=replace(contract.source, kind="http"))
    far = [{**GOOD, "at": NOON - timedelta(days=9)}, {**GOOD, "at": NOON + timedelta(days=9)}]
    loaded(spark, http, tmp_path / "home", far, [*far, GOOD])
    assert spark.read.format("delta").load(table(contract.name)).count() == 3


def test_between_two_windows_no_file_is_looked_at(spark: Any, contract: Contract, tmp_path: Path) -> None:
    """ING-5: a day that comes with a gap far back has no look at what lies between, be it the whole table."""
    assert contract.source
    days = [NOON + timedelta(days=day) for day in range(5)]
    loaded(spark, contract, tmp_path, *[[{**GOOD, "at": day}] for day in days])
    path = table(contract.name)
    branch = open_branch(path, f"{path}/_branch/b/1", table_spec(contract), "append")
    hour = timedelta(hours=1)
    windows = (Window(days[1] - hour, days[1] + hour), Window(days[3] - hour, days[3] + hour))
    source = replace(contract.source, lookback=timedelta())
    known = _known(spark, branch, source, windows, spark.range(0))
    assert known is not None
    assert len(known.inputFiles()) == len(windows)
    assert [row["at"] for row in known.sort("at").collect()] == [at.replace(tzinfo=None) for at in (days[1], days[3])]


def test_a_row_read_again_is_the_same_row_whatever_else_the_contract_has_by_now(
    spark: Any, contract: Contract, tmp_path: Path
) -> None:
    """ING-2: a column that comes, and that rows have no value in, makes them no others; nor does another order."""
    rows = [{**GOOD, "id": str(n), "price": None if n % 2 else "1.5"} for n in range(4)]
    loaded(spark, contract, tmp_path, rows)
    path = contract.path
    text = path.read_text()
    price, note = (
        next(line for line in text.splitlines(True) if f"{{name: {name}" in line) for name in ("price", "note")
    )
    path.write_text(text.replace(price + note, "      - {name: colour, physicalType: STRING}\n" + note + price))
    loaded(spark, load_contract(path.parent), tmp_path, rows, [{**GOOD, "id": "9"}], first=1)
    assert sorted(row["id"] for row in read_rows(table(contract.name))) == [0, 1, 2, 3, 9]


CASTS = [
    ("string", "TIMESTAMP", "'10:30'", None),
    ("string", "TIMESTAMP", "'T10:30:00'", None),
    ("string", "TIMESTAMP", "'10:30:00-05:00'", None),
    ("string", "TIMESTAMP", "' 2025-10-01 10:30'", "2025-10-01 10:30:00"),
    ("string", "TIMESTAMP", "'9999-12-31T23:59:59.999999Z'", "9999-12-31 23:59:59.999999"),
    ("string", "TIMESTAMP", "'10000-01-01'", None),
    ("string", "TIMESTAMP", "'0000-12-31'", None),
    ("string", "TIMESTAMP", "'45931'", None),
    ("string", "DATE", "'251001'", None),
    ("string", "DATE", "'0001-01-01'", "0001-01-01"),
    ("string", "DATE", "'2025'", "2025-01-01"),
    ("bigint", "TIMESTAMP", "1759312800L", "2025-10-01 10:00:00"),
    ("bigint", "TIMESTAMP", "1759312800000L", None),
    ("string", "DECIMAL(18,2)", "'1e-600000000'", None),
    ("string", "DECIMAL(18,2)", "'1.5E+2'", "150.00"),
    ("string", "DECIMAL(18,2)", "'1e0002'", "100.00"),
    ("double", "BIGINT", "1.5D", None),
    ("double", "INT", "3.0D", "3"),
    ("double", "BIGINT", "double('NaN')", None),
    ("decimal(3,1)", "SMALLINT", "CAST(2.5 AS DECIMAL(3,1))", None),
    ("decimal(3,1)", "TINYINT", "CAST(2 AS DECIMAL(3,1))", "2"),
]


def test_values_that_a_cast_would_make_up_are_none(spark: Any) -> None:
    """CON-1: no time of day becomes one of today, no year is beyond the calendar, no fraction is cut off."""
    made = [
        f"(SELECT CAST({cast('v', landed_as, kind)} AS STRING) FROM (SELECT {value} AS v)) AS c{number}"
        for number, (landed_as, kind, value, _) in enumerate(CASTS)
    ]
    found = list(spark.sql(f"SELECT {', '.join(made)}").first())
    assert dict(zip(CASTS, found, strict=True)) == {case: case[3] for case in CASTS}


def test_few_rows_need_no_second_pass(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    monkeypatch.setattr(seen.Seen, "aside", lambda _: pytest.fail("read again"))
    assert loaded(spark, contract, tmp_path / "home", [GOOD, *BAD])[0]["quarantined"] == 4


def test_a_rule_that_tells_of_the_moment_is_asked_once(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked again, a row that was at fault could be good, and would be nowhere."""
    monkeypatch.setattr("lakehouse.bronze.load.MANY", 1)
    monkeypatch.setattr(seen.Seen, "_asked", lambda _: pytest.fail("asked again"))
    rules = [replace(rule, predicate="at < now()") if rule.name == "dear" else rule for rule in contract.rules]
    late = {**GOOD, "id": "7", "at": datetime.now(UTC) + timedelta(days=1)}
    counts = loaded(spark, replace(contract, rules=tuple(rules)), tmp_path, [GOOD, late])
    assert (counts[0]["judged"], counts[0]["quarantined"]) == (2, 1)


@pytest.mark.parametrize("more", [1, -1])
def test_of_a_large_load_every_row_is_accounted_for(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    monkeypatch.setattr("lakehouse.bronze.load.MANY", 1)
    own = landed
    monkeypatch.setitem(globals(), "landed", lambda *of: replace(found := own(*of), rows=found.rows + more))
    with pytest.raises(LakehouseError, match="1 at fault, 0 discarded"):
        loaded(spark, contract, tmp_path, [GOOD, BAD[0]])


def test_of_a_large_load_without_a_fault_nothing_is_asked(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.bronze.load.MANY", 1)
    asked: list[int] = []
    ask = seen.Seen._asked
    monkeypatch.setattr(seen.Seen, "_asked", lambda self: asked.append(1) or ask(self))
    good = [{**GOOD, "id": str(number)} for number in range(5)]
    # The third finds nothing new, which could be for a fault.
    counts = loaded(spark, contract, tmp_path, good, [{**GOOD, "id": "9"}, BAD[0]], good)
    assert [(one["judged"], one["quarantined"]) for one in counts] == [(5, 0), (2, 1), (5, 0)]
    assert len(asked) == 2


def test_who_audits_a_large_load_finds_its_log_read(
    spark: Any, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a log that Delta cannot read fails the load, not its audit."""
    monkeypatch.setattr("lakehouse.bronze.load.MANY", 1)
    read: list[list[str]] = []
    own = type(spark.range(1)).inputFiles
    monkeypatch.setattr(type(spark.range(1)), "inputFiles", lambda self: read.append(own(self)) or read[-1])
    loaded(spark, contract, tmp_path, [GOOD, BAD[0]])
    ((file,),) = read
    assert f"{table(contract.name)}/_branch/b0/1/part-" in file
    monkeypatch.setattr(type(spark.range(1)), "inputFiles", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loaded(spark, contract, tmp_path, [GOOD, BAD[0]], first=1)


@pytest.mark.parametrize("kind", ["BIGINT", "STRING"])
@pytest.mark.parametrize(("keys", "repeat"), [([1, 2, 64, -1], False), ([1, 2, 2], True), ([1, None, None], True)])
def test_repeated_keys_are_found_before_a_load(
    spark: Any, contract: Contract, tmp_path: Path, kind: str, keys: list[int | None], repeat: bool
) -> None:
    """Of one moment, over two landing files; whole numbers that lie close together are asked without Spark."""
    assert contract.source
    kinds = pa.schema([("id", pa.int64() if kind == "BIGINT" else pa.string()), ("at", pa.timestamp("us", "UTC"))])
    for name, half in (("a", keys[:1]), ("b", keys[1:])):
        rows = [{"id": key if key is None or kind == "BIGINT" else str(key), "at": NOON} for key in half]
        pq.write_table(pa.Table.from_pylist(rows, schema=kinds), tmp_path / f"{name}.parquet")
    assert may_repeat(contract, contract.source, landed(spark, str(tmp_path))) is repeat
