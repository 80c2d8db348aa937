"""Schema drift at bronze: every policy under columns added, removed, renamed, retyped and reordered, each way (CON-1).

One load brings landing files of all those shapes at once, as a source that changes in the middle of a load would; the
next one brings the first shape again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.bronze.drift import SchemaFrozen, evolved
from lakehouse.bronze.landed import landed
from lakehouse.bronze.load import LoadStamp, load
from lakehouse.config import settings
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import fast_forward, open_branch, read_rows, schema_columns
from lakehouse.ledger import Window
from lakehouse.paths import ops
from lakehouse.pipeline.spec import table_spec

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bronze.drifting
version: 1.0.0
status: active
team: {name: Drift, members: [{username: drift@shop.example}]}
customProperties:
  - property: source
    value: {connection: snowflake_default, type: snowflake, object: A.B, cursor: at, initialValue: 2025-01-01}
  - {property: quarantineThreshold, value: 1}
schema:
  - name: drifting
    properties:
      - {name: id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: at, physicalType: TIMESTAMP, required: true}
      - {name: price, physicalType: "DECIMAL(10,2)"}
      - {name: note, physicalType: STRING}
"""
NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
WINDOW = (Window(NOON - timedelta(days=1), NOON + timedelta(days=1)),)
#: Shape -> the columns of its landing file, in order. Every file has one row.
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"id": 1, "at": NOON, "price": 1.5, "note": "plain"},
    "added": {"id": 2, "at": NOON, "price": 1.5, "note": "added", "extra:colour": "red"},
    "added_null": {"id": 3, "at": NOON, "price": 1.5, "note": "added, empty", "extra:colour": None},
    "added_number": {"id": 4, "at": NOON, "price": 1.5, "note": "added, a number", "extra:colour": 7},
    "removed": {"id": 5, "at": NOON, "price": 1.5},
    "renamed": {"id": 6, "at": NOON, "price": 1.5, "extra:remark": "renamed"},
    "retyped": {"id": "7", "at": "2025-01-01 12:00:00", "price": "1.5", "note": 7},
    "retyped_badly": {"id": 8, "at": NOON, "price": "cheap", "note": "retyped badly"},
    "reordered": {"note": "reordered", "price": 1.5, "at": NOON, "id": 9},
    "hostile": {"id": 10, "at": NOON, "price": 1.5, "note": "", "extra:`; DROP TABLE x --.\"'": "quoted"},
}
EXTRA = "`; DROP TABLE x --.\"'"


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contract:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    folder = tmp_path / "tables" / "bronze" / "drifting"
    folder.mkdir(parents=True)
    (folder / "contract.odcs.yaml").write_text(CONTRACT)
    return load_contract(folder)


class Lane:
    """One table under one policy, loaded again and again."""

    def __init__(self, spark: Any, contract: Contract, policy: Any, root: Path) -> None:
        assert contract.source
        self.spark, self.contract, self.root, self.loads = spark, contract, root, 0
        self.source = replace(contract.source, schema_policy=policy)
        self.path = str(root / "drifting")

    def load(self, *shapes: str, shift: int = 0) -> dict[str, int]:
        """Load the rows of `shapes`, their keys raised by `shift`."""
        self.loads += 1
        folder = self.root / f"landing{self.loads}"
        folder.mkdir()
        for name in shapes:
            row = {**SHAPES[name], "id": type(SHAPES[name]["id"])(int(SHAPES[name]["id"]) + shift)}
            pq.write_table(pa.Table.from_pylist([row]), folder / f"{name}.parquet")
        files = landed(self.spark, str(folder))
        there = {c.name: c.type for c in schema_columns(self.path)}
        grown = evolved(self.contract, self.source, files.frames, there)
        branch = open_branch(
            self.path, f"{self.path}/_branch/b{self.loads}/1", table_spec(self.contract, grown), "append"
        )
        stamp = LoadStamp(f"b{self.loads}", 1, "a", "run", NOON, "2025-01-01", "0" * 32)
        counts = load(self.contract, self.source, branch, files, grown, WINDOW, stamp)
        fast_forward(branch, f"b{self.loads}", 1, {})
        return counts

    def rows(self) -> dict[int, dict[str, Any]]:
        table = DeltaTable(self.path).to_pyarrow_table()
        return {row["id"]: row for row in table.to_pylist()}

    def reasons(self) -> dict[str, list[str]]:
        return {json.loads(row["key"])["id"]: row["reasons"] for row in read_rows(ops("quarantine"))}


@pytest.mark.long(18)
@pytest.mark.parametrize("policy", ["keep", "evolve", "discard_value", "discard_row"])
def test_every_shape_under_a_policy_and_back(spark: Any, contract: Contract, tmp_path: Path, policy: str) -> None:
    lane = Lane(spark, contract, policy, tmp_path)
    lane.load("plain")
    counts = lane.load(*SHAPES)
    discarded = {2, 4, 6, 10} if policy == "discard_row" else set()
    told = {name: counts[name] for name in ("judged", "quarantined", "discarded")}
    assert told == {"judged": 10, "quarantined": 1, "discarded": len(discarded)}
    rows = lane.rows()
    assert rows.keys() == {1, 2, 3, 4, 5, 6, 7, 9, 10} - discarded
    assert lane.reasons() == {8: ["price_type"]}
    # What the contract knows: gone means null, another type is cast, another order is nothing.
    known = (1, 5, 7, 9)
    assert {i: rows[i]["note"] for i in known} == {1: "plain", 5: None, 7: "7", 9: "reordered"}
    assert {str(row["price"]) for row in rows.values()} == {"1.50"}
    assert {row["at"] for row in rows.values()} == {NOON}
    beyond = {
        i: json.loads(row["_extra"]) if row["_extra"] else None for i, row in rows.items() if i not in (1, 5, 7, 9)
    }
    grown = {i: (row.get("colour"), row.get("remark"), row.get(EXTRA)) for i, row in rows.items() if i in beyond}
    kept = {2: {"colour": "red"}, 3: None, 4: {"colour": 7}, 6: {"remark": "renamed"}, 10: {EXTRA: "quoted"}}
    nothing = (None, None, None)
    if policy == "keep":
        assert beyond == kept
    else:
        assert set(beyond.values()) == {None}
    if policy == "evolve":
        columns = (("red", None, None), nothing, ("7", None, None), (None, "renamed", None), (None, None, "quoted"))
        assert grown == dict(zip((2, 3, 4, 6, 10), columns, strict=True))
    else:
        assert set(grown.values()) == {nothing}
    # And back: the shape of before, in a table that may have grown; nothing is new of what is there already.
    before = {row["id"]: row["_row_hash"] for row in rows.values()}
    assert lane.load("plain", "added_null", shift=0)["judged"] == 2
    assert {row["id"]: row["_row_hash"] for row in lane.rows().values()} == before
    lane.load("plain", shift=100)
    assert lane.rows()[101]["note"] == "plain"
    assert len(lane.rows()) == len(before) + 1


@pytest.mark.parametrize(("shape", "told"), [("added", "added colour"), ("removed", "lost note")])
def test_frozen(spark: Any, contract: Contract, tmp_path: Path, shape: str, told: str) -> None:
    lane = Lane(spark, contract, "freeze", tmp_path)
    lane.load("plain")
    before = lane.rows()
    with pytest.raises(SchemaFrozen, match=told):
        lane.load("plain", shape, shift=100)
    with pytest.raises(SchemaFrozen, match="added remark and lost note"):
        lane.load("renamed")
    assert lane.rows() == before
    lane.load("retyped", "reordered")
    assert lane.rows().keys() == {1, 7, 9}
