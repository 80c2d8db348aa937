"""A gate that looks at new files alone finds what one finds that looks at everything, and reads nothing else (DQ-1)."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lakehouse import paths
from lakehouse.config import settings
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import (
    Branch,
    commit_metadata,
    diff,
    fast_forward,
    files_in,
    latest_version,
    open_branch,
    statistics,
    table_sql,
)
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.scope import checked, scope
from lakehouse.pipeline.spec import table_spec
from lakehouse.quality import GateResult, check
from lakehouse.quality.keys import with_keys
from lakehouse.quality.known import Known, Part
from lakehouse.quality.part import kept
from lakehouse.quality.statistics import with_statistics
from lakehouse.transform.inputs import resolve

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: silver.{table}
version: 1.0.0
status: active
team: {{name: Depot, members: [{{username: depot@shop.example}}]}}
customProperties: [{{property: strategy, value: merge}}]
schema:
  - name: {table}
    properties:
"""
VANS = """\
      - {name: plate, physicalType: STRING, primaryKey: true, required: true}
      - {name: van_id, physicalType: BIGINT}
"""
PARCELS = """\
      - {name: parcel_id, physicalType: BIGINT, primaryKey: true, required: true}
      - {name: leg, physicalType: INT}
      - {name: size, physicalType: STRING, partitioned: true, partitionKeyPosition: 1}
      - {name: weight, physicalType: "DECIMAL(9,2)", logicalType: number, logicalTypeOptions: {minimum: 0.1}}
      - name: van_id
        physicalType: BIGINT
        relationships: [{to: ../vans/contract.odcs.yaml#/schema/vans/properties/van_id}]
    quality:
      - {name: leg_once, metric: duplicateValues, arguments: {properties: [leg, size]}, mustBe: 0, severity: warning}
      - {name: light, type: custom, engine: sparkSql, implementation: "weight < 40", severity: warning}
      - {name: enough, metric: rowCount, mustBeGreaterThan: 1}
      - {name: load, type: sql, query: "SELECT SUM(weight) FROM ${table}", mustBeGreaterThan: 0}
"""
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)
Row = tuple[int | None, int, str, str, int | None]


@dataclass
class Depot:
    """Two tables, parcels and the vans that they refer to, worked on by branches as the product does."""

    spark: Any
    parcels: Contract
    vans: Contract
    number: int = 0

    def branch(self, contract: Contract, statement: str, **views: Any) -> Branch:
        """A candidate: `statement`, its `{t}` the branch."""
        self.number += 1
        path = paths.table(contract.name)
        branch = open_branch(path, f"{path}/_branch/b{self.number}/1", table_spec(contract), "clone")
        for name, frame in views.items():
            frame.createOrReplaceTempView(name)
        self.spark.sql(statement.format(t=table_sql(branch.path))).collect()
        return branch

    def publish(self, branch: Branch, told: Mapping[str, Any] | None = None) -> None:
        fast_forward(branch, f"b{self.number}", 1, dict(told or {}))

    def merge(self, rows: Sequence[Row], gone: Sequence[int] = ()) -> Branch:
        """Rows by their key, new or in place of what is there; a row of an even leg below 0 comes beside it."""
        frame = self.spark.createDataFrame(
            [(*row[:3], row[3], row[4], False) for row in rows] + [(key, 0, "", "1", None, True) for key in gone],
            "parcel_id BIGINT, leg INT, size STRING, weight STRING, van_id BIGINT, gone BOOLEAN",
        ).selectExpr("parcel_id", "leg", "size", "CAST(weight AS DECIMAL(9,2)) AS weight", "van_id", "gone")
        return self.branch(
            self.parcels,
            """MERGE INTO {t} AS t USING came AS s ON t.parcel_id = s.parcel_id AND s.leg >= 0
            WHEN MATCHED AND s.gone THEN DELETE
            WHEN MATCHED THEN UPDATE SET leg = s.leg, size = s.size, weight = s.weight, van_id = s.van_id
            WHEN NOT MATCHED AND NOT s.gone THEN INSERT (parcel_id, leg, size, weight, van_id)
              VALUES (s.parcel_id, s.leg, s.size, s.weight, s.van_id)""",
            came=frame,
        )

    def drive(self, ids: Sequence[int | None], gone: Sequence[int] = ()) -> Branch:
        """Vans that come, and go."""
        told = [(f"V{n}", n, False) for n in ids] + [(f"V{n}", n, True) for n in gone]
        return self.branch(
            self.vans,
            """MERGE INTO {t} AS t USING vans AS s ON t.plate = s.plate WHEN MATCHED AND s.gone THEN DELETE
            WHEN NOT MATCHED AND NOT s.gone THEN INSERT (plate, van_id) VALUES (s.plate, s.van_id)""",
            vans=self.spark.createDataFrame(told, "plate STRING, van_id BIGINT, gone BOOLEAN"),
        )

    def audited(
        self, branch: Branch, partly: bool = True, vans: Branch | None = None
    ) -> tuple[GateResult, Part | None, dict[str, Any]]:
        """What the gate finds, of which part, and what the commit would say; `vans` are a candidate of the same run."""
        batch = Batch("silver.vans", "b", 1, "1", Run("r", "manual", NOON), NOON, branch=vans.to_json() if vans else "")
        candidates = {"silver.vans": batch} if vans else {}
        told, inputs = statistics(branch.path), resolve("silver.parcels", ("silver.vans",), candidates)
        part = scope(self.spark, self.parcels, branch, diff(branch), told, inputs) if partly else None
        known = replace(with_statistics(Known(), self.parcels, told), part=part)
        known = with_keys(known, self.parcels, branch.path, told)
        frame = self.spark.read.format("delta").load(branch.path)
        result = check(self.parcels, frame, lambda name: inputs[name].frame(self.spark), "b", "r", known)
        return result, part, {"kept": kept(self.parcels, result), "checked": checked(inputs)}

    def load(self, *rows: Row) -> None:
        """Rows through the gate into the table."""
        branch = self.merge(rows)
        result, _, told = self.audited(branch)
        assert result.passed, result.failures
        self.publish(branch, told)

    def broken(self, branch: Branch) -> dict[str, int | None]:
        return {r.rule: r.failed_rows for r in self.audited(branch)[0].failures}


@pytest.fixture
def depot(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connect_server: str) -> Depot:
    for name, value in (("HOME", str(tmp_path)), ("SPARK_REMOTE", connect_server), ("INCREMENTS_FROM", "0")):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", value)
    settings.cache_clear()
    for table, columns in (("vans", VANS), ("parcels", PARCELS)):
        folder = tmp_path / "tables" / "silver" / table
        folder.mkdir(parents=True)
        (folder / "transform.sql").write_text("SELECT 1 AS one\n")
        (folder / "contract.odcs.yaml").write_text(HEAD.format(table=table) + columns)
    parcels, vans = (load_contract(tmp_path / "tables" / "silver" / name) for name in ("parcels", "vans"))
    return Depot(spark, parcels, vans)


def verdicts(result: GateResult) -> dict[str, Any]:
    return {r.rule: (r.success, r.failed_rows, r.value, r.sample) for r in result.results}


def some(chance: random.Random, keys: int) -> list[Row]:
    """Rows of one load: mostly good ones."""
    found: list[Row] = []
    for key in chance.sample(range(keys), chance.randint(1, 4)):
        van = None if chance.random() < 0.2 else chance.randrange(5 if chance.random() < 0.9 else 7)
        weight = "0.01" if chance.random() < 0.06 else "45" if chance.random() < 0.2 else str(chance.randint(1, 39))
        leg = -chance.randint(1, 99) if chance.random() < 0.1 else chance.randrange(1000)
        found.append((None if chance.random() < 0.04 else key, leg, chance.choice("sml"), weight, van))
    return found


@pytest.mark.long(70)
@pytest.mark.parametrize("seed", range(6))
def test_a_part_is_judged_as_the_whole(depot: Depot, seed: int) -> None:
    """Loads, good and bad, overrides, vans that leave, files laid out anew: in every state both gates say the same."""
    chance = random.Random(seed)
    depot.publish(depot.drive(range(5)))
    first = depot.merge([(key, key, "sml"[key % 3], "1", key % 5) for key in range(0, 40, 2)])
    result, part, told = depot.audited(first)
    assert result.passed and part is None and len(told["kept"]) == 6
    depot.publish(first, told)
    in_part, failed = 0, set()
    for step in range(5):
        vans = depot.drive([chance.choice([5, 6, None])], [chance.randrange(7)]) if chance.random() < 0.5 else None
        beside = vans if chance.random() < 0.5 else None
        if vans and not beside:
            depot.publish(vans)
        if chance.random() < 0.2:
            depot.publish(depot.branch(depot.parcels, "OPTIMIZE {t}"))
        rows = some(chance, 40)
        rest = sorted(set(range(40)) - {row[0] for row in rows})
        branch = depot.merge(rows, chance.sample(rest, chance.randint(0, 2)))
        result, part, told = depot.audited(branch, vans=beside)
        whole, _, whole_told = depot.audited(branch, partly=False, vans=beside)
        assert (verdicts(result), told) == (verdicts(whole), whole_told), (seed, step, part)
        in_part += len(part.rules) if part else 0
        failed |= {r.rule for r in result.failures}
        if result.passed or chance.random() < 0.3:
            if beside:
                depot.publish(beside)
            depot.publish(branch, told)
    assert in_part, "no rule was ever judged in part"


def test_what_breaks_a_rule_is_found_wherever_its_other_half_lies(depot: Depot) -> None:
    depot.publish(depot.drive(range(3)))
    depot.load(*[(key, key, "s", "1", key % 3) for key in range(10)])
    # The new row's twin lies in a file that stays.
    found, part, _ = depot.audited(depot.merge([(7, -1, "m", "2", 0)]))
    assert part and part.rules.keys() == {
        *("parcel_id_not_null", "parcel_id_unique", "weight_in_range", "van_id_references", "leg_once", "light")
    }
    assert {r.rule: r.failed_rows for r in found.failures} == {"parcel_id_unique": 2}
    values = {r.rule: r.value for r in found.results}
    assert (values["load"], values["enough"]) == (12, 11)
    # A van leaves: the row that is left alone lies in a file that stays.
    depot.publish(depot.drive([], gone=[1]))
    found, part, told = depot.audited(depot.merge([(20, 20, "m", "2", 0)]))
    assert part and "van_id_references" not in part.rules
    assert {r.rule: r.failed_rows for r in found.failures} == {"van_id_references": 3}
    assert "van_id_references" not in told["kept"] and "parcel_id_unique" in told["kept"]


@pytest.mark.long(30)
def test_what_came_with_a_candidate_and_left_later_is_missed(depot: Depot) -> None:
    """Of a group's first load, the table referred to is a candidate: since its version, a key came and went."""
    vans, parcels = depot.drive(range(3)), depot.merge([(key, key, "s", "1", key) for key in range(3)])
    result, _, told = depot.audited(parcels, vans=vans)
    assert result.passed and told["checked"]["silver.vans"][1] == -1
    depot.publish(vans)
    depot.publish(parcels, told)
    assert depot.broken(depot.merge([(20, 20, "m", "2", 0)])) == {}
    depot.publish(depot.drive([], gone=[2]))
    assert depot.broken(depot.merge([(20, 20, "m", "2", 0)])) == {"van_id_references": 1}


@pytest.mark.long(45)
def test_another_table_in_the_place_of_one_referred_to_is_not_taken_for_it(depot: Depot) -> None:
    for vans in ([0, 1], [2]):
        depot.publish(depot.drive(vans))
    depot.load(*[(key, key, "s", "1", key) for key in range(3)])
    # Made anew without van 2, with fewer versions, then with more.
    shutil.rmtree(paths.table("silver.vans"))
    depot.publish(depot.drive([0, 1]))
    assert depot.broken(depot.merge([(20, 20, "m", "2", 0)])) == {"van_id_references": 1}
    for number in (10, 11):
        depot.publish(depot.drive([number]))
    assert depot.broken(depot.merge([(20, 20, "m", "2", 0)])) == {"van_id_references": 1}


@pytest.mark.long(25)
def test_files_that_stay_are_not_opened(depot: Depot) -> None:
    depot.publish(depot.drive(range(3)))
    depot.load(*[(key, key, "s", "1", key % 3) for key in range(10)])
    sql = next(rule for rule in depot.parcels.rules if rule.name == "load")
    others = tuple(rule for rule in depot.parcels.rules if rule.name not in (sql.name, "leg_once"))
    depot.parcels = replace(depot.parcels, rules=others)
    branch = depot.merge([(20, 20, "m", "2", 0)])
    for file in files_in(paths.table("silver.parcels")):
        (Path(paths.table("silver.parcels")) / file["path"]).unlink()
    found, part, _ = depot.audited(branch)
    assert found.passed and part and part.rows == 11
    # Texts have no exact bounds, and a query reads what it asks for.
    depot.parcels = replace(depot.parcels, rules=(*others, sql))
    with pytest.raises(Exception, match=r"FILE_NOT_EXIST|FileNotFound|does not exist|could not be checked"):
        depot.audited(branch)


def test_a_version_that_says_nothing_is_not_trusted(depot: Depot) -> None:
    path = paths.table("silver.parcels")
    depot.publish(depot.drive(range(3)))
    depot.load((1, 1, "s", "1", 0), (2, 2, "s", "45", 1))
    said = commit_metadata(path, 0) or {}
    assert "weight_in_range" in said["kept"] and said["checked"]["silver.vans"][1] == 0
    # A warning that was let pass is still one.
    branch = depot.merge([(3, 3, "m", "1", 0)])
    found, part, _ = depot.audited(branch)
    assert part and "light" not in part.rules
    assert {r.rule: r.failed_rows for r in found.failures} == {"light": 1}
    # Another rule of that name.
    rules = tuple(replace(r, predicate="weight < 2") if r.name == "weight_in_range" else r for r in depot.parcels.rules)
    depot.parcels = replace(depot.parcels, rules=rules)
    found, part, _ = depot.audited(branch)
    assert part and "weight_in_range" not in part.rules and "parcel_id_unique" in part.rules
    # Somebody wrote past the gate, and said so in words of his own.
    depot.spark.sql("SET spark.databricks.delta.commitInfo.userMetadata = by hand").collect()
    try:
        depot.spark.sql(f"INSERT INTO {table_sql(path)} (parcel_id, leg) VALUES (2, 7)").collect()
    finally:
        depot.spark.conf.unset("spark.databricks.delta.commitInfo.userMetadata")
    found, part, _ = depot.audited(depot.merge([(3, 3, "s", "1", 0)]))
    assert part is None and {r.rule: r.failed_rows for r in found.failures}["parcel_id_unique"] == 2
    assert latest_version(path) == 1


@pytest.mark.long(20)
def test_changes_that_cannot_be_read_are_told_and_everything_is_looked_at(depot: Depot) -> None:
    depot.publish(depot.drive(range(3)))
    depot.load(*[(key, key, "s", "1", key) for key in range(3)])
    vans = paths.table("silver.vans")
    depot.spark.sql(f"ALTER TABLE {table_sql(vans)} SET TBLPROPERTIES (delta.enableChangeDataFeed = false)").collect()
    depot.spark.sql(f"DELETE FROM {table_sql(vans)} WHERE van_id = 2").collect()
    with capture_logs() as told:
        found, part, _ = depot.audited(depot.merge([(20, 20, "m", "2", 0)]))
    assert [(line["event"], line["tables"]) for line in told] == [("changes not readable", ["silver.vans"])]
    assert part and "van_id_references" not in part.rules
    assert {r.rule: r.failed_rows for r in found.failures} == {"van_id_references": 1}
