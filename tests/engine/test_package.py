"""What a batch job is given: always the same bytes, everything it needs, and nothing that must stay here."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from lakehouse.cli.main import app
from lakehouse.contracts import ContractError
from lakehouse.jobs.package import ENTRY, PYTHON, PackageRefused, build
from lakehouse.manifest import ManifestError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Path, Path]:
    """Table folders and configuration of one's own."""
    tables, config = tmp_path / "tables", tmp_path / "config"
    shutil.copytree(ROOT / "include" / "config", config)
    for name in ("bronze/products", "gold/dim_product"):
        shutil.copytree(ROOT / "include" / "tables" / name, tables / name)
    return tables, config


def names(archive: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(archive)).namelist()


def test_the_same_input_is_the_same_bytes_whenever_and_wherever(parts, tmp_path):
    first = build(*parts)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "tables", elsewhere / "tables", copy_function=shutil.copyfile)
    shutil.copytree(tmp_path / "config", elsewhere / "config", copy_function=shutil.copyfile)
    for file in elsewhere.rglob("*"):
        os.utime(file, (1, 1))
    again = build(elsewhere / "tables", elsewhere / "config")
    assert (again.archive, again.files()) == (first.archive, first.files())
    sql = elsewhere / "tables/gold/dim_product/transform.sql"
    sql.write_text(sql.read_text().replace("SELECT", "SELECT\n ", 1))
    assert build(elsewhere / "tables", elsewhere / "config").stem != first.stem


def test_it_holds_library_tables_and_configuration_and_nothing_else():
    held = names(build().archive)
    tables = {str(file.relative_to(ROOT)) for file in (ROOT / "include/tables").rglob("*.odcs.yaml")}
    tables |= {str(file.relative_to(ROOT)) for file in (ROOT / "include/tables").rglob("transform.sql")}
    config = {str(file.relative_to(ROOT)) for file in (ROOT / "include/config").glob("*.yaml")}
    library = {str(file.relative_to(ROOT)) for file in (ROOT / "include/lakehouse").rglob("*.py")}
    assert set(held) == tables | config | library | {ENTRY, "manifest.json"}
    assert len(held) == len(set(held))


def test_caches_tests_cases_and_hidden_files_stay(parts):
    tables, config = parts
    for stray in (tables / "gold/dim_product/.notes", tables / "gold/dim_product/old.sql", config / "env"):
        stray.write_text("x")
    (config / "__pycache__").mkdir()
    (config / "__pycache__" / "x.yaml").write_text("x: 1")
    held = names(build(tables, config).archive)
    stray = ("__pycache__", "cases/", "tests/", ".notes", "/old.sql")
    assert [name for name in held if any(word in name for word in stray)] == []
    assert "include/config/env" not in held


def test_a_secret_in_the_configuration_is_refused_and_not_shown(parts):
    tables, config = parts
    (config / "prod.yaml").write_text("lake: x\nspark: {deep: [{password: hunter2}]}\n")
    with pytest.raises(PackageRefused, match=r"prod.yaml: 'spark.deep.password'") as refused:
        build(tables, config)
    assert "hunter2" not in str(refused.value)


def test_what_is_missing_is_named(parts, tmp_path):
    tables, config = parts
    with pytest.raises(PackageRefused, match="nowhere is missing"):
        build(tables, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PackageRefused, match="empty holds no configuration"):
        build(tables, tmp_path / "empty")
    with pytest.raises(ManifestError, match="No table folder"):
        build(tmp_path / "empty", config)
    (tables / "gold/dim_product/transform.sql").unlink()
    with pytest.raises(ContractError, match=r"dim_product.*neither a source nor a transform.sql"):
        build(tables, config)
    (tables / "gold/dim_product/contract.odcs.yaml").unlink()
    with pytest.raises(PackageRefused, match=r"dim_product has no contract.odcs.yaml"):
        build(tables, config)


def test_a_broken_contract_is_no_package(parts):
    contract = parts[0] / "bronze/products/contract.odcs.yaml"
    contract.write_text(
        contract.read_text().replace("physicalType: table", "physicalType: nonsense", 1) + "nonsense: 1\n"
    )
    with pytest.raises(ContractError):
        build(*parts)


def test_the_manifest_says_what_the_cluster_must_have(parts):
    built = build(*parts)
    told = json.loads(built.files()[f"{built.stem}.json"])
    assert told["sha256"] == hashlib.sha256(built.archive).hexdigest()
    assert built.stem == f"lakehouse-{told['sha256'][:16]}"
    assert told["spark"] == importlib.metadata.version("pyspark")
    assert f"io.delta:delta-spark_4.2_2.13:{told['delta']}" in told["jars"]
    assert told["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert set(told["tables"]["gold.dim_product"]) == {"contract", "sql"}
    assert set(told["tables"]["bronze.products"]) == {"contract"}
    pinned = (ROOT / "requirements.txt").read_text().lower().splitlines()
    assert [line for line in told["requirements"] if line.lower() not in pinned] == []


#: Imports what a driver does, with the archive alone, where nothing but the distributions told is installed.
PROBE = """
import importlib.abc, importlib.metadata, sys

there = set(sys.argv[2].split(","))
owners = importlib.metadata.packages_distributions()

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        mine = {owner.lower().replace("_", "-") for owner in owners.get(name.partition(".")[0], [])}
        if mine and not mine & there:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.path.insert(0, sys.argv[1])
sys.meta_path.insert(0, Absent())
import lakehouse.bronze.judge, lakehouse.jobs.work, lakehouse.metrics.cloudwatch, lakehouse.pipeline.run
import lakehouse.spark
import lakehouse.quality.engine, lakehouse.quality.gate, lakehouse.delta.store.s3, lakehouse.query, deltalake, pyarrow
from lakehouse.quality.engine import quiet
with quiet():
    pass
import lakehouse
assert lakehouse.__file__.startswith(sys.argv[1]), lakehouse.__file__
"""


def closure(wanted: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    todo = list(wanted)
    while todo:
        name = todo.pop().lower().replace("_", "-")
        if name not in found:
            found.add(name)
            needed = [Requirement(text) for text in importlib.metadata.requires(name) or []]
            todo += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


@pytest.mark.long(8)
def test_a_driver_needs_no_more_than_the_requirements(parts, tmp_path):
    with zipfile.ZipFile(io.BytesIO(build(*parts).archive)) as archive:
        archive.extractall(tmp_path / "unpacked")

    def start(*wanted: str) -> subprocess.CompletedProcess[str]:
        # The cluster's Spark brings the last two.
        there = ",".join(closure((*wanted, "pyspark", "py4j", "lakehouse")))
        argv = [sys.executable, "-c", PROBE, str(tmp_path / "unpacked" / "include"), there]
        return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)

    ran = start(*PYTHON)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "No module named 'structlog'" in start(*[name for name in PYTHON if name != "structlog"]).stderr


def test_the_entry_script_takes_one_whole_archive(parts, tmp_path):
    places = build(*parts).write(str(tmp_path / "out"))

    def start(*archives: Path) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, archives))}
        argv = [sys.executable, places["entry"], "--nonsense"]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)

    good = Path(places["archive"])
    assert "there must be one lakehouse-<sha>.zip" in start().stderr
    damaged = tmp_path / "damaged" / good.name
    damaged.parent.mkdir()
    damaged.write_bytes(good.read_bytes() + b"x")
    assert f"{good.name} is damaged" in start(damaged).stderr
    ran = start(good)
    assert (ran.returncode, ran.stderr.startswith("error: The job's arguments are wrong")) == (1, True), ran.stderr


def test_the_command_writes_three_files_once(tmp_path):
    out = tmp_path / "dist"
    told = [CliRunner().invoke(app, ["package", "--out", str(out), "--output", "json"]) for _ in range(2)]
    rows = json.loads(told[0].stdout)
    assert told[0].stdout == told[1].stdout
    assert sorted(file.name for file in out.iterdir()) == sorted(Path(row["path"]).name for row in rows)
    assert {row["part"]: row["bytes"] for row in rows} == {
        part: (out / Path(path).name).stat().st_size for part, path in ((r["part"], r["path"]) for r in rows)
    }
    archive = next(out.glob("*.zip"))
    archive.write_bytes(b"other")
    refused = CliRunner().invoke(app, ["package", "--out", str(out)])
    assert isinstance(refused.exception, PackageRefused)
    assert "holds something else" in str(refused.exception)
    assert "not on S3" in str(
        CliRunner().invoke(app, ["package", "--out", str(out / "x"), "--upload", "gs://x"]).exception
    )
