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
    "deltalake",
    "jsonschema",
    "open_data_contract_standard.model",
    "sqlglot.dialects.spark",
    "pyarrow.parquet",
    "pyspark.sql.connect.session",
    "snowflake.connector",
    "psycopg2",
    "simple_salesforce",
    "lakehouse.pipeline.run",
    "lakehouse_airflow.table_group",
    "airflow.providers.openlineage.extractors",
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
    """Import MODULES and Great Expectations in a scheduler, DEADLINE_MODULES in a triggerer, before they fork."""
    if "triggerer" in sys.argv:
        for module in DEADLINE_MODULES:
            importlib.import_module(module)
    if "scheduler" in sys.argv and conf.get("core", "executor") == "LocalExecutor":
        for module in MODULES:
            importlib.import_module(module)
        from lakehouse.quality.engine import quiet

        with quiet():
            pass
