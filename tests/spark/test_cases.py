"""The given/expected cases in the folders of tables, as `lakehouse test` runs them; and that a wrong one is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lakehouse.cli.main import app
from lakehouse.config import PROJECT, settings
from lakehouse.contracts import load_contract
from lakehouse.manifest import load
from lakehouse.transform.cases import CaseBroken, cases

COMPUTED = [e.name for e in load(PROJECT / "include" / "tables").entries if e.layer != "bronze"]


@pytest.mark.long(45)
def test_every_case_of_the_shop_passes_and_every_table_has_one(spark: Any) -> None:
    done = CliRunner().invoke(app, ["test", "--output", "json"])
    rows = json.loads(done.stdout)
    assert [row for row in rows if row["result"] != "passed"] == []
    assert done.exit_code == 0
    assert {row["table"] for row in rows} == set(COMPUTED) - {"gold.dim_date"}


def test_a_failing_case_is_told_with_its_rows(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for layer, name, text in (
        ("bronze", "a", "customProperties: [{property: source, value: {connection: c, type: snowflake, object: x, "
         "cursor: at, initialValue: 2025-01-01}}]"),
        ("silver", "b", ""),
    ):  # fmt: skip
        folder = tmp_path / layer / name
        folder.mkdir(parents=True)
        (folder / "contract.odcs.yaml").write_text(
            f"apiVersion: v3.1.0\nkind: DataContract\nid: {layer}.{name}\nversion: 1.0.0\nstatus: active\n"
            f"team: {{name: T, members: [{{username: t@shop.example}}]}}\n{text}\nschema:\n  - name: {name}\n"
            "    properties:\n      - {name: k, physicalType: BIGINT, primaryKey: true, required: true}\n"
            "      - {name: at, physicalType: TIMESTAMP}\n"
        )
    (tmp_path / "silver" / "b" / "transform.sql").write_text("SELECT k + 1 AS k, at FROM bronze.a")
    case = tmp_path / "silver" / "b" / "cases" / "wrong.yaml"
    case.parent.mkdir()
    case.write_text("given: {bronze.a: [{k: 1}, {k: 2}]}\nexpected: [{k: 2}, {k: 2}]\n")
    monkeypatch.setenv("LAKEHOUSE_TABLES", str(tmp_path))
    settings.cache_clear()
    done = CliRunner().invoke(app, ["test", "silver.b", "--output", "json"])
    assert done.exit_code == 1
    (row,) = json.loads(done.stdout)
    assert (row["result"], row["missing"], row["surplus"]) == ("failed", "{'k': 2}", "{'k': 3}")
    case.write_text("given: {bronze.a: [{kk: 1}]}\nexpected: [{k: 2}]\n")
    done = CliRunner().invoke(app, ["test", "silver.b"])
    assert isinstance(done.exception, CaseBroken)
    assert "'kk' is no column" in str(done.exception)
    case.write_text("given: 1")
    with pytest.raises(CaseBroken, match="no case"):
        list(cases(load_contract(case.parents[1])))
