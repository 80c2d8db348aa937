"""DAG files imported as Airflow would, without a database, a network or this machine's Airflow."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment that leads to no Airflow but an empty one, with a manifest cache of its own."""
    home = tmp_path_factory.mktemp("airflow")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_", "LAKEHOUSE_"))}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "LAKEHOUSE_HOME": str(home / "lakehouse"),
        "LAKEHOUSE_CACHE": str(home / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture(scope="session")
def dags(airflow_environment: dict[str, str]) -> dict[str, Any]:
    """Every DAG of dags/, by id. Airflow reads AIRFLOW_HOME at its import and never again."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(airflow_environment)
    settings.cache_clear()
    try:
        found = {}
        for file in sorted((ROOT / "dags").glob("*.py")):
            spec = importlib.util.spec_from_file_location(f"dag_{file.stem}", file)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            from airflow.sdk import DAG

            mine = {value.dag_id: value for value in vars(module).values() if isinstance(value, DAG)}
            assert mine, f"{file} makes no DAG"
            assert not mine.keys() & found.keys(), f"{file} takes an id that another file has"
            found |= mine
        return found
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()
