"""A listener that imports the heavy libraries once, where tasks are forks of the scheduler.

LocalExecutor forks its workers from the scheduler, and a task is a fork of a worker. What the scheduler has imported
before it forks costs a task nothing; otherwise every task would import Spark's client, Arrow and Great Expectations
anew (seconds of CPU each). No channel, thread or connection is opened here: those do not survive a fork.
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


@hookimpl
def on_starting(component: Any) -> None:
    """Import MODULES and Great Expectations in a scheduler that is about to fork its workers."""
    if "scheduler" in sys.argv and conf.get("core", "executor") == "LocalExecutor":
        for module in MODULES:
            importlib.import_module(module)
        from lakehouse.quality.engine import quiet

        with quiet():
            pass
