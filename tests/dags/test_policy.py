"""What every DAG file promises: explicit policy, wiring as the manifest says, cheap and quiet to parse."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lakehouse.manifest import Entry, Manifest, compile_manifest, folders
from lakehouse.sandbox import declared

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)

#: Words a DAG must write down itself, for Airflow's defaults have changed under people before.
WRITTEN = {"dag_id", "schedule", "start_date", "catchup", "max_active_runs", "dagrun_timeout", "tags", "doc_md"}
HEAVY = ("pyspark", "delta", "deltalake", "great_expectations", "pandas", "pyarrow", "duckdb")
#: Steps that wait for nobody: a few small files of the Delta log, so they hold no slot of a system.
LIGHT = {"publish", "advance_watermark"}
STEPS = {"extract", "transform", "dq_gate", "publish", "advance_watermark"}

#: Executes a DAG file where nobody can be reached, and says what that took.
PROBE = """
import json, runpy, socket, sqlite3, sys, time
import airflow.sdk

def refuse(*args, **kwargs):
    raise AssertionError("a DAG file reached out while it was parsed")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = sqlite3.connect = refuse
before = time.process_time()
made = runpy.run_path(sys.argv[1])
seconds = time.process_time() - before
dags = [value for value in made.values() if isinstance(value, airflow.sdk.DAG)]
print(json.dumps({
    "seconds": seconds,
    "tasks": sum(len(dag.task_ids) for dag in dags),
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""


def parse(file: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What PROBE says of `file`, in a process of its own."""
    argv = [sys.executable, "-c", PROBE, str(file)]
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return compile_manifest(folders(ROOT / "include" / "tables"))


@every_file
def test_airflow_does_not_skip_the_file(file: Path):
    text = file.read_text().lower()
    assert "dag" in text
    assert "airflow" in text


@every_file
def test_policy_is_written_in_the_file(file: Path):
    calls = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("DAG", "dag")
    ]
    assert calls
    for call in calls:
        assert {keyword.arg for keyword in call.keywords} >= WRITTEN


@every_file
def test_a_file_fits_on_one_screen_of_code(file: Path):
    tree = ast.parse(file.read_text())
    prose = len((ast.get_docstring(tree) or "").splitlines())
    assert prose > 5, "the docstring is the DAG's documentation"
    assert len(file.read_text().splitlines()) - prose <= 60


def test_every_dag_is_owned_documented_and_bounded(dags: dict[str, Any]):
    for dag in dags.values():
        assert dag.doc_md, dag.dag_id
        assert dag.tags, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert dag.max_active_runs == 1, dag.dag_id
        assert timedelta() < dag.dagrun_timeout <= timedelta(hours=24), dag.dag_id


def test_every_task_is_owned_retried_and_bounded(dags: dict[str, Any]):
    for dag in dags.values():
        for task in dag.tasks:
            assert task.owner not in ("", "airflow"), task.task_id
            assert 1 <= task.retries <= 5, task.task_id
            assert timedelta() < task.retry_delay, task.task_id
            assert timedelta() < task.execution_timeout <= dag.dagrun_timeout, task.task_id


def test_task_ids_are_steps(dags: dict[str, Any], manifest: Manifest):
    groups = {entry.publish_group for entry in manifest.entries if entry.publish_group}
    for task in dags["lakehouse_daily"].tasks:
        step = task.task_id.rpartition(".")[2]
        assert step in STEPS or step.removeprefix("publish_") in groups, task.task_id


def home(dags: dict[str, Any], entry: Entry) -> Any:
    """The DAG that loads a table."""
    return dags["lakehouse_stream" if entry.streamed else "lakehouse_daily"]


def test_a_task_that_burdens_a_system_holds_a_slot_of_it(dags: dict[str, Any], manifest: Manifest):
    tasks = {t.task_id: t for name in ("lakehouse_daily", "lakehouse_stream") for t in dags[name].tasks}
    for entry in manifest.entries:
        group = entry.name.replace(".", "_")
        assert tasks[f"{group}.transform"].pool == tasks[f"{group}.dq_gate"].pool == "spark"
        if entry.connection:
            assert tasks[f"{group}.extract"].pool == entry.source_kind
    for task in tasks.values():
        step = task.task_id.rpartition(".")[2]
        assert (task.pool == "default_pool") == (step in LIGHT or step.startswith("publish_")), task.task_id


def test_every_pool_is_declared(dags: dict[str, Any]):
    known = {pool.name for pool in declared.read().pools} | {"default_pool"}
    assert {task.pool for dag in dags.values() for task in dag.tasks} <= known


def test_every_source_connection_is_declared(manifest: Manifest):
    assert {e.connection for e in manifest.entries if e.connection} <= declared.read().connections.keys()


def test_every_table_has_its_steps_in_order(dags: dict[str, Any], manifest: Manifest):
    for entry in manifest.entries:
        dag, group = home(dags, entry), entry.name.replace(".", "_")
        chain = ["stream"] if entry.streamed else []
        chain += ["extract"] if entry.connection else []
        chain += ["transform", "dq_gate"]
        chain += [] if entry.publish_group else ["publish"]
        chain += ["advance_watermark"] if entry.connection else []
        ids = [f"{group}.{step}" for step in chain]
        assert {t for t in dag.task_ids if t.startswith(f"{group}.")} == set(ids)
        for before, after in pairwise(ids):
            assert before in dag.get_task(after).upstream_task_ids


def publisher(manifest: Manifest, name: str) -> str:
    """The task that publishes a table."""
    entry = manifest[name]
    return f"publish_{entry.publish_group}" if entry.publish_group else f"{name.replace('.', '_')}.publish"


def test_a_table_waits_for_what_it_reads_and_checks_and_for_nothing_else(dags: dict[str, Any], manifest: Manifest):
    def scheduled(names: Iterable[str]) -> set[str]:
        return {name for name in names if not manifest[name].streamed}

    for entry in manifest.entries:
        dag, group = home(dags, entry), entry.name.replace(".", "_")
        together = {member.name for member in manifest.group_of(entry.name)}
        candidates = {f"{n.replace('.', '_')}.dq_gate" for n in (*entry.reads, *entry.checks) if n in together}
        if not entry.connection:
            published = {publisher(manifest, name) for name in scheduled(entry.reads) - together}
            assert dag.get_task(f"{group}.transform").upstream_task_ids == candidates | published, entry.name
        checked = {publisher(manifest, name) for name in scheduled(entry.checks) - together}
        gate = dag.get_task(f"{group}.dq_gate")
        assert gate.upstream_task_ids == {f"{group}.transform"} | candidates | checked, entry.name


def test_the_star_is_published_by_one_task_after_all_its_gates(dags: dict[str, Any], manifest: Manifest):
    dag = dags["lakehouse_daily"]
    star = [entry.name for entry in manifest.entries if entry.publish_group == "star"]
    assert {"gold.dim_customer", "gold.fact_sales"} <= set(star)
    task = dag.get_task("publish_star")
    assert task.upstream_task_ids == {f"{name.replace('.', '_')}.dq_gate" for name in star}
    assert [t for t in dag.task_ids if "publish" in t and t.startswith("gold_")] == []


def test_nothing_runs_after_a_failure_upstream(dags: dict[str, Any]):
    for dag in dags.values():
        assert {str(getattr(task.trigger_rule, "value", task.trigger_rule)) for task in dag.tasks} == {"all_success"}


@every_file
def test_parsing_is_quiet_and_loads_nothing_heavy(
    file: Path, dags: dict[str, Any], airflow_environment: dict[str, str]
):
    found = parse(file, airflow_environment)  # `dags` compiled the manifest, as the first parse after a change does.
    assert not set(HEAVY) & set(found["modules"])
    assert not (Path(airflow_environment["AIRFLOW_HOME"]) / "airflow.db").exists()


def test_two_hundred_tables_parse_in_a_second(tmp_path: Path, airflow_environment: dict[str, str]):
    for number in range(100):
        grow(tmp_path / "tables", "bronze", "products", f"_{number:03}")
        grow(tmp_path / "tables", "silver", "products", f"_{number:03}")
    environment = {**airflow_environment, "LAKEHOUSE_TABLES": str(tmp_path / "tables")}
    cold = parse(ROOT / "dags" / "daily.py", environment)
    warm = parse(ROOT / "dags" / "daily.py", environment)
    assert cold["tasks"] == warm["tasks"] == 100 * 5 + 100 * 3
    # Processor time: what a busy machine adds is not the file's doing.
    assert warm["seconds"] < 1.0, f"{warm['seconds']:.2f} s warm, {cold['seconds']:.2f} s cold"


def grow(root: Path, layer: str, table: str, suffix: str) -> None:
    """A copy of a real table folder under another name, reading the copies of what it read."""
    source, target = ROOT / "include" / "tables" / layer / table, root / layer / f"{table}{suffix}"
    target.mkdir(parents=True)
    text = (source / "contract.odcs.yaml").read_text()
    for before in (rf"^id: {layer}\.", "^  - id: ", "^    name: ", r"^\s+element: "):
        text = re.sub(rf"({before}){table}\b", rf"\g<1>{table}{suffix}", text, flags=re.MULTILINE)
    text = re.sub(r"(watermarkKey: \w+)", rf"\g<1>{suffix}", text)
    (target / "contract.odcs.yaml").write_text(text)
    if (source / "transform.sql").is_file():
        sql = (source / "transform.sql").read_text()
        (target / "transform.sql").write_text(re.sub(rf"\b(bronze|silver)\.{table}\b", rf"\1.{table}{suffix}", sql))


def test_a_trigger_by_hand_and_a_scheduled_run_know_their_end(dags: dict[str, Any]):
    from airflow.sdk import CronDataIntervalTimetable

    # A bare cron string would make intervals of no length: nothing would ever be due.
    assert isinstance(dags["lakehouse_daily"].timetable, CronDataIntervalTimetable)


def test_one_plugin_file_and_an_ignored_package():
    plugins = ROOT / "plugins"
    assert [path.name for path in plugins.glob("*.py")] == ["lakehouse_plugin.py"]
    packages = {path.name for path in plugins.iterdir() if path.is_dir() and path.name != "__pycache__"}
    ignored = {line.strip().rstrip("/") for line in (plugins / ".airflowignore").read_text().splitlines()}
    assert packages <= ignored
