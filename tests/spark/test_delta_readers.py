"""Readers while publishes fail: nobody ever sees a row of a candidate that did not pass, and nothing of it stays.

The candidates are held by the real gate. The readers are delta-rs, in a thread that never rests, and Spark.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from deltalake import DeltaTable

from lakehouse.contracts import load_contract
from lakehouse.delta import (
    CandidateChanged,
    ColumnSpec,
    TableSpec,
    diff,
    drop_branch,
    fast_forward,
    latest_version,
    open_branch,
    table_sql,
)
from lakehouse.quality import check

SPEC = TableSpec(
    (ColumnSpec("id", "BIGINT"), ColumnSpec("v", "STRING"), ColumnSpec("p", "STRING")), partition_by=("p",)
)
WIDER = TableSpec((*SPEC.columns, ColumnSpec("extra", "STRING")), partition_by=("p",))

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: silver.seen
version: 1.0.0
status: active
team: {name: Readers, members: [{username: readers@shop.example}]}
customProperties: [{property: strategy, value: merge}]
schema:
  - name: seen
    properties:
      - {name: id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1, required: true}
      - name: v
        physicalType: STRING
        quality: [{name: v_known, metric: invalidValues, arguments: {validValues: [good]}, mustBe: 0}]
      - {name: p, physicalType: STRING}
"""

#: Strategy -> (mode of the branch, specification, statement that plants bad rows).
STRATEGIES: dict[str, tuple[Any, TableSpec, str]] = {
    "append": ("append", SPEC, "INSERT INTO {b} SELECT id + 100, 'bad', 'a' FROM range(5)"),
    "merge": (
        "clone",
        SPEC,
        "MERGE INTO {b} t USING (SELECT id * 2 AS id FROM range(40)) s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET v = 'bad' WHEN NOT MATCHED THEN INSERT (id, v, p) VALUES (s.id, 'bad', 'b')",
    ),
    "replace partitions": (
        "clone",
        SPEC,
        "INSERT INTO {b} REPLACE WHERE p = 'a' SELECT id * 2, 'bad', 'a' FROM range(20)",
    ),
    "scd2": (
        "clone",
        SPEC,
        "MERGE INTO {b} t USING (SELECT id, 'bad' AS v, 'b' AS p FROM range(30)) s ON t.id = s.id "
        "WHEN MATCHED AND NOT (t.v <=> s.v) THEN UPDATE SET v = s.v "
        "WHEN NOT MATCHED THEN INSERT * WHEN NOT MATCHED BY SOURCE THEN DELETE",
    ),
    "rebuild": ("clone", SPEC, "INSERT OVERWRITE {b} SELECT id, 'bad', 'c' FROM range(7)"),
    "schema change": ("clone", WIDER, "INSERT INTO {b} SELECT id + 200, 'bad', 'a', 'new' FROM range(5)"),
    "optimize": ("clone", SPEC, "OPTIMIZE {b} ZORDER BY (id)"),
}


@dataclass
class Reader:
    """Polls the table by delta-rs until told to stop; remembers how often it looked and whatever was wrong."""

    path: str
    expected: list[tuple[Any, ...]]
    polls: int = 0
    wrong: list[Any] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        # Not at full tilt: the writers need the other core.
        while not self.stop.wait(0.05):
            found = rows_of_delta_rs(self.path)
            self.polls += 1
            if found != self.expected:
                self.wrong.append(found)


def rows_of_delta_rs(path: str, version: int | None = None) -> list[tuple[Any, ...]]:
    table = DeltaTable(path, version=version).to_pyarrow_table()
    return sorted(tuple(row.values()) for row in table.select(["id", "v", "p"]).to_pylist())


def log_of(path: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (Path(path) / "_delta_log").iterdir()}


@pytest.fixture
def table(tmp_path: Path, spark: Any) -> str:
    """Two published commits of good rows in two partitions."""
    path = str(tmp_path / "seen")
    for n in range(2):
        branch = open_branch(path, f"{path}/_branch/seed{n}/1", SPEC, "append")
        where = table_sql(branch.path)
        spark.sql(f"INSERT INTO {where} SELECT id + {n * 20}, 'good', IF(id % 2 = 0, 'a', 'b') FROM range(20)")
        fast_forward(branch, f"seed{n}", 1, {})
    return path


@pytest.mark.long(110)
def test_no_reader_sees_a_row_that_failed(table: str, spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "tables" / "silver" / "seen"
    folder.mkdir(parents=True)
    (folder / "contract.odcs.yaml").write_text(CONTRACT)
    (folder / "transform.sql").write_text("SELECT id, v, p FROM bronze.seen")
    contract = load_contract(folder)
    before, reader = log_of(table), Reader(table, rows_of_delta_rs(table))
    assert len(reader.expected) == 40
    thread = threading.Thread(target=reader)
    thread.start()
    spark_polls = 0
    try:
        for mode, spec, statement in STRATEGIES.values():
            for _ in range(3):
                branch = open_branch(table, f"{table}/_branch/{uuid4()}/1", spec, mode)
                spark.sql(statement.format(b=table_sql(branch.path))).collect()
                change = diff(branch)
                assert not change.is_empty
                if statement.startswith("OPTIMIZE"):
                    # It changes no row a gate could object to: what was audited is something else.
                    with pytest.raises(CandidateChanged):
                        fast_forward(branch, str(uuid4()), 1, {}, expected="another candidate")
                else:
                    candidate = spark.read.format("delta").load(branch.path)
                    verdict = check(contract, candidate, spark.table, batch_id="b", run_id="r")
                    assert not verdict.passed
                    assert [r.rule for r in verdict.failures] == ["v_known"]
                seen = spark.read.format("delta").load(table).where("v <> 'good'").count()
                spark_polls += 1
                assert seen == 0
                drop_branch(branch)
    finally:
        reader.stop.set()
        thread.join()
    assert reader.wrong == []
    assert reader.polls + spark_polls >= 200
    assert log_of(table) == before
    for version in range(latest_version(table) + 1):
        assert {v for _, v, _ in rows_of_delta_rs(table, version)} == {"good"}
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0).load(table)
    assert feed.where("v <> 'good'").count() == 0
    assert spark.sql(f"DESCRIBE HISTORY {table_sql(table)}").count() == 2
    data = {file.relative_to(table) for file in Path(table).rglob("*.parquet")}
    assert {file.parts[0] for file in data} == {"_branch"}
    referenced = {Path(file) for file in DeltaTable(table).file_uris()}
    assert {Path(table) / file for file in data} == referenced, "a failed candidate's files are gone"
