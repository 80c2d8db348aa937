"""The publish to Snowflake as Airflow has it: told by the assets of what goes there, through Airflow's own hook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import settings
from lakehouse.manifest import compile_manifest, folders
from lakehouse.sandbox.some import serving
from tests.dags.test_policy import ROOT
from tests.warehouse import Things, control, there


def test_it_waits_for_any_table_that_goes_there_and_sends_each_by_itself(dags: dict[str, Any]):
    from airflow.sdk import Asset

    dag = dags["lakehouse_publish"]
    names = {e.name for e in compile_manifest(folders(ROOT / "include" / "tables")).warehoused().entries}
    assets = dag.schedule
    assert type(assets).__name__ == "AssetAny"
    assert {asset.name for asset in assets.objects if isinstance(asset, Asset)} == names
    assert {task.table for task in dag.tasks} == names
    assert all(not task.upstream_task_ids for task in dag.tasks), "one that fails stops none of the others"


def test_every_asset_it_waits_for_is_told_of_by_a_publish(dags: dict[str, Any]):
    told = {
        outlet.name
        for name in ("lakehouse_daily", "lakehouse_stream")
        for t in dags[name].tasks
        for outlet in t.outlets
    }
    assert {asset.name for asset in dags["lakehouse_publish"].schedule.objects} <= told


def test_the_operator_by_hand(dags: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`dags` only has Airflow imported in an environment of its own."""
    from airflow.sdk.exceptions import AirflowFailException

    from lakehouse_airflow.operators import WarehousePublishOperator

    with serving(tmp_path / "stand-ins", "snowflake") as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
        monkeypatch.setenv("LAKEHOUSE_TABLES", str(tmp_path / "tables"))
        settings.cache_clear()
        things = Things(tmp_path)
        things.make()
        things.upsert({(1, "a"): "one", (2, "a"): None})
        task = WarehousePublishOperator(task_id="publish", table="gold.things")
        assert task.execute({})["why"] == "it is the first time"
        things.delete((1, "a"))
        assert task.execute({})["state"] == "changes"
        assert task.execute({})["state"] == "nothing"
        assert there() == things.rows()
        assert control() == (things.version, 1)
        things.contract(custom="  - {property: warehouse, value: false}")
        with pytest.raises(AirflowFailException, match="does not go to the warehouse"):
            task.execute({})
    settings.cache_clear()
