"""A month of random operations on one table: Spark, delta-rs and DuckDB read the rows that a plain model expects.

Through checkpoints, log clean-up, VACUUM and the collection of dead branches. LAKEHOUSE_MONTHS says how many months
hypothesis plays (default 2, as the first one it plays is the shortest there is).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import hypothesis.strategies as st
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lakehouse.delta import ColumnSpec, TableSpec, drop_branch, fast_forward, latest_version, open_branch, table_sql
from lakehouse.delta.replay import active_files

COLUMNS = (ColumnSpec("id", "BIGINT"), ColumnSpec("v", "STRING"), ColumnSpec("p", "STRING"))
PARTS = ("a b", "x=y", "ü/%")
#: Short, so that a month of a test sees clean-up and VACUUM do something.
PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    "delta.deletedFileRetentionDuration": "interval 1 seconds",
    "delta.logRetentionDuration": "interval 1 seconds",
}
KEYS = st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True)
PART = st.sampled_from(PARTS)
Row = tuple[int, str, str, str | None]


class Month(RuleBasedStateMachine):
    """The table, and what it should hold: {id: row}."""

    spark: Any
    root: Path
    #: Publishes and held candidates over all examples.
    days = 0

    def __init__(self) -> None:
        super().__init__()
        self.path = str(self.root / uuid4().hex / "my table")
        self.model: dict[int, Row] = {}
        self.wide = False
        self.day = 0

    @property
    def spec(self) -> TableSpec:
        extra = (ColumnSpec("note", "STRING"),) if self.wide else ()
        return TableSpec((*COLUMNS, *extra), partition_by=("p",), properties=PROPERTIES)

    def publish(self, mode: Any, statement: str, keep: bool = True) -> None:
        """Run `statement` on a branch; publish it, or give it up."""
        self.day += 1
        type(self).days += 1
        branch = open_branch(self.path, f"{self.path}/_branch/{uuid4()}/1", self.spec, mode)
        self.spark.sql(statement.format(b=table_sql(branch.path))).collect()
        if keep:
            fast_forward(branch, f"day{self.day}", 1, {"day": self.day})
        drop_branch(branch)

    def values(self, keys: list[int], text: str, part: str) -> str:
        note = f", '{text}'" if self.wide else ""
        return (
            f"SELECT id, '{text}' AS v, '{part}' AS p{note and note + ' AS note'} FROM VALUES "
            + ", ".join(f"({key})" for key in keys)
            + " AS k(id)"
        )

    def row(self, key: int, text: str, part: str) -> Row:
        return (key, text, part, text if self.wide else None)

    @initialize(keys=KEYS, part=PART)
    def first(self, keys: list[int], part: str) -> None:
        self.publish("append", f"INSERT INTO {{b}} {self.values(keys, 'first', part)}")
        self.model = {key: self.row(key, "first", part) for key in keys}

    @rule(keys=KEYS, part=PART)
    def append(self, keys: list[int], part: str) -> None:
        new, text = [key for key in keys if key not in self.model], f"a{self.day}"
        if new:
            self.publish("append", f"INSERT INTO {{b}} {self.values(new, text, part)}")
            self.model |= {key: self.row(key, text, part) for key in new}

    @rule(keys=KEYS, part=PART)
    def merge(self, keys: list[int], part: str) -> None:
        text = f"m{self.day}"
        self.publish(
            "clone",
            f"MERGE INTO {{b}} t USING ({self.values(keys, text, part)}) s ON t.id = s.id "
            "WHEN MATCHED AND t.id % 5 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
        )
        for key in keys:
            if key in self.model and key % 5 == 0:
                del self.model[key]
            else:
                self.model[key] = self.row(key, text, part)

    @rule(keys=KEYS, part=PART)
    def replace_partition(self, keys: list[int], part: str) -> None:
        text = f"r{self.day}"
        kept = {key: row for key, row in self.model.items() if row[2] != part}
        new = [key for key in keys if key not in kept]
        if new:
            self.publish("clone", f"INSERT INTO {{b}} REPLACE WHERE p = '{part}' {self.values(new, text, part)}")
            self.model = kept | {key: self.row(key, text, part) for key in new}

    @rule(keys=KEYS, part=PART)
    def rebuild(self, keys: list[int], part: str) -> None:
        text = f"b{self.day}"
        self.publish("clone", f"INSERT OVERWRITE {{b}} {self.values(keys, text, part)}")
        self.model = {key: self.row(key, text, part) for key in keys}

    @rule(keys=KEYS, part=PART)
    def held(self, keys: list[int], part: str) -> None:
        self.publish("clone", f"INSERT OVERWRITE {{b}} {self.values(keys, 'held', part)}", keep=False)

    @rule()
    def optimize(self) -> None:
        self.publish("clone", "OPTIMIZE {b} ZORDER BY (id)")

    @precondition(lambda self: not self.wide)
    @rule(keys=KEYS, part=PART)
    def widen(self, keys: list[int], part: str) -> None:
        self.wide = True
        self.merge(keys, part)

    @rule()
    def clean_up(self) -> None:
        """What maintenance does: old log files go, and data files nothing refers to."""
        DeltaTable(self.path).cleanup_metadata()
        self.spark.sql(f"VACUUM {table_sql(self.path)}").collect()

    @invariant()
    def every_reader_agrees(self) -> None:
        if self.model:
            assert self.of_delta_rs() == self.of_duckdb() == sorted(self.model.values())
            # Spark costs a second: not after every step.
            if self.day % 4 == 0:
                assert self.of_spark() == sorted(self.model.values())

    def teardown(self) -> None:
        if self.model:
            assert self.of_spark() == self.of_delta_rs() == self.of_duckdb() == sorted(self.model.values())
            assert latest_version(self.path) >= 0

    def shaped(self, rows: list[dict[str, Any]]) -> list[Row]:
        return sorted((r["id"], r["v"], r["p"], r.get("note")) for r in rows)

    def of_spark(self) -> list[Row]:
        return self.shaped([r.asDict() for r in self.spark.read.format("delta").load(self.path).collect()])

    def of_delta_rs(self) -> list[Row]:
        return self.shaped(DeltaTable(self.path).to_pyarrow_table().to_pylist())

    def of_duckdb(self) -> list[Row]:
        """The data files by DuckDB, which ones by our own replay of the log."""
        from urllib.parse import unquote

        rows = []
        for add in active_files(self.path, latest_version(self.path)):
            file = str(Path(self.path) / unquote(add["path"]))
            found = duckdb.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [file]).to_arrow_table()
            rows += [{**row, "p": add["partitionValues"]["p"]} for row in found.to_pylist()]
        return self.shaped(rows)


@pytest.mark.long(180)
def test_a_month_of_random_operations(spark: Any, tmp_path: Path) -> None:
    machine = type("Month", (Month,), {"spark": spark, "root": tmp_path})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=int(os.environ.get("LAKEHOUSE_MONTHS", "2")),
            stateful_step_count=30,
            deadline=None,
            derandomize="LAKEHOUSE_MONTHS" not in os.environ,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert machine.days >= 20, "too short to be called a month"
