"""Where the configuration names a catalog every table is registered after its publish; elsewhere no task is there."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.manifest import compile_manifest, folders
from lakehouse_airflow.operators import RegisterCatalogOperator
from tests.dags.test_policy import HEAVY, ROOT, publisher

#: Executes a DAG file, and says which tasks there are, what each waits for, and what that imported.
PROBE = """
import json, runpy, sys
import airflow.sdk
made = runpy.run_path(sys.argv[1])
(dag,) = [value for value in made.values() if isinstance(value, airflow.sdk.DAG)]
tasks = {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
print(json.dumps({"tasks": tasks, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


@pytest.fixture(scope="module")
def in_aws(airflow_environment: dict[str, str]) -> dict[str, Any]:
    environment = {**airflow_environment, "LAKEHOUSE_CONFIG": "aws"}
    argv = [sys.executable, "-c", PROBE, str(ROOT / "dags" / "daily.py")]
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_every_table_is_registered_after_its_publish_and_nothing_waits_for_it(in_aws: dict[str, Any]):
    tables = compile_manifest(folders(ROOT / "include" / "tables"))
    tasks = in_aws["tasks"]
    registering = {
        f"{entry.name.replace('.', '_')}.register_catalog": entry.name for entry in tables.scheduled().entries
    }
    assert {task for task in tasks if task.endswith("register_catalog")} == set(registering)
    for task, table in registering.items():
        assert tasks[task] == [publisher(tables, table)]
    assert not set(registering) & {before for waits in tasks.values() for before in waits}


def test_no_client_of_aws_is_imported_for_that(in_aws: dict[str, Any]):
    assert not set(HEAVY) & set(in_aws["modules"])


def test_on_a_laptop_nothing_is_registered(dags: dict[str, Any]):
    assert [task for task in dags["lakehouse_daily"].task_ids if "catalog" in task] == []


def test_the_operator_tells_what_it_changed(monkeypatch: pytest.MonkeyPatch):
    change = SimpleNamespace(to_row=lambda: {"action": "create"})
    monkeypatch.setattr("lakehouse.provision.register.register", lambda contract: [change] if contract.name else [])
    task = RegisterCatalogOperator(task_id="register", table="bronze.orders")
    assert task.execute({}) == [{"action": "create"}]
    lineage = task.get_openlineage_facets_on_complete(None)
    assert [dataset.name.rpartition("lake/")[2] for dataset in lineage.inputs] == ["bronze/orders"]
    assert lineage.outputs == []
