"""A listener that imports what is heavy once, where Airflow forks its workers.

LocalExecutor forks its workers from the scheduler, a task is a fork of a worker, and triggers run in a fork of the
triggerer. What was imported before the fork costs them nothing; otherwise every task would import Spark's client, Arrow
and Great Expectations anew (seconds of CPU each), and the first late run would be told of later by as much. No channel,
thread or connection is opened here: those do not survive a fork.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from airflow.configuration import conf
from airflow.listeners import hookimpl

#: Modules that tasks import first thing.
MODULES = (
    "airflow.providers.openlineage.extractors",
    "deltalake",
    "duckdb",
    "jinja2.ext",
    "jsonschema",
    "lakehouse.delta",
    "lakehouse.ingest.files",
    "lakehouse.ingest.http",
    "lakehouse.ingest.salesforce",
    "lakehouse.ingest.sql.feed",
    "lakehouse.pipeline.run",
    "lakehouse.quality",
    "lakehouse.quality.history",
    "lakehouse.spark",
    "lakehouse_airflow.alerts",
    "lakehouse_airflow.hooks",
    "lakehouse_airflow.operators",
    "lakehouse_airflow.table_group",
    "open_data_contract_standard.model",
    "psycopg2",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pyspark.sql.connect.catalog",
    "pyspark.sql.connect.session",
    "simple_salesforce",
    "snowflake.connector",
    "sqlglot.dialects.redshift",
    "sqlglot.dialects.snowflake",
    "sqlglot.dialects.spark",
)

#: Modules that the mail of a missed deadline needs. Imported in the triggerer's event loop they would stop it.
DEADLINE_MODULES = (
    "asgiref.sync",
    "airflow.sdk.execution_time.task_runner",
    "lakehouse_airflow.alerts",
    "lakehouse_airflow.sla",
)


@hookimpl
def on_starting(component: Any) -> None:
    """Import MODULES and Great Expectations in a scheduler, DEADLINE_MODULES in a triggerer, before they fork.

    A scheduler reads the contracts, too.
    """
    if "triggerer" in sys.argv:
        for module in DEADLINE_MODULES:
            importlib.import_module(module)
    if "scheduler" in sys.argv and conf.get("core", "executor") == "LocalExecutor":
        for module in MODULES:
            importlib.import_module(module)
        from lakehouse.quality.engine import quiet

        with quiet():
            pass
        _read_contracts()


def _read_contracts() -> None:
    """Every contract is read and checked here; a task reads its own again only if it changed since."""
    from pathlib import Path

    from lakehouse.contracts import load_contract
    from lakehouse.errors import LakehouseError
    from lakehouse.manifest import load

    try:
        for entry in load().entries:
            load_contract(Path(entry.folder))
    except LakehouseError:
        # The DAG file and the tasks tell what is broken; it is no reason to stop a scheduler.
        return
