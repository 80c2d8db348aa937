"""The upkeep through the real scheduler: fewer files, the same rows; the second time nothing."""

from __future__ import annotations

import pytest

from lakehouse import ledger, paths
from lakehouse.delta import table_stats
from lakehouse.sandbox.rest import Airflow
from tests.e2e.conftest import Platform, ends_green, versions
from tests.e2e.test_daily import content
from tests.e2e.test_forms import as_it_opens

DAG = "lakehouse_optimize"


def upkeep(airflow: Airflow, tables: str) -> list[str]:
    """Run the DAG for some tables; states of its tasks, one a table."""
    run = ends_green(airflow, DAG, {"tables": tables})
    return [str(task.state) for task in airflow.tasks(DAG, run.run_id) if task.task_id == "optimize"]


@pytest.mark.long(30)
def test_upkeep_changes_files_and_no_row_and_then_nothing(platform: Platform, airflow: Airflow) -> None:
    before, loads, files = content(platform), len(ledger.read()), table_stats(paths.ops("ledger")).files
    assert files > len(platform.manifest.entries), "each load must have left files of its own"
    assert upkeep(airflow, "silver.orders, gold.fact_sales, ops.ledger") == ["success"] * 3
    assert content(platform) == before
    # One file for each table that the ledger tells of, and not an event less.
    assert table_stats(paths.ops("ledger")).files == len({event.table for event in ledger.read()})
    assert len(ledger.read()) == loads
    after, kept = versions(platform.manifest), table_stats(paths.ops("ledger")).version
    upkeep(airflow, "silver.orders, gold.fact_sales, ops.ledger")
    assert versions(platform.manifest) == after
    assert table_stats(paths.ops("ledger")).version == kept


@pytest.mark.long(50)
def test_upkeep_of_all_tables_changes_no_row(platform: Platform, airflow: Airflow) -> None:
    before = content(platform)
    as_it_opens(airflow, DAG)
    assert content(platform) == before
