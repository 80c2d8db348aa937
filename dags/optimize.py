"""The weekly upkeep of every table: small files become large ones, rows are ordered, what nobody needs is deleted.

**What it does.** For each table: OPTIMIZE (by the columns of its contract's `layout`) on a branch, published by one
commit that changes no row; VACUUM of what no version of the last 168 hours needs; dead branches; landing files of loads
published long ago. Sizes of files before and after are each task's result.

**Why it is safe to run at any time.** Readers keep the version they began with. Loads that add rows are published on
top of it, and it on top of them; where both rewrite the same files, one of the two works again. Where nothing changed
since the last time, nothing is done.

**Trigger by hand** for some tables only, by other columns, or as a rehearsal: the form says how.

**When it is late.** Four hours from its start; nobody waits for it, the disk does. See runbooks/full_disk.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, task

from lakehouse.manifest import load
from lakehouse_airflow import failure, forms, sla
from lakehouse_airflow.operators import OptimizeOperator
from lakehouse_airflow.owners import owner_links, owners
from lakehouse_airflow.table_group import SPARK_POOL

tables = load()

with DAG(
    dag_id="lakehouse_optimize",
    schedule=CronDataIntervalTimetable("0 3 * * 0", timezone="UTC"),
    start_date=datetime(2025, 9, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-platform",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=2),
    },
    dagrun_timeout=timedelta(hours=12),
    deadline=[sla.run_deadline(timedelta(hours=4), owners(tables), runbook="runbooks/full_disk.md")],
    on_failure_callback=failure.mail_failure(owners(tables)),
    render_template_as_native_obj=True,
    params=forms.optimize(),
    owner_links=owner_links(tables),
    tags=["lakehouse", "maintenance"],
    doc_md=__doc__,
) as dag:

    @task
    def select(params: dict[str, Any]) -> list[str]:
        """The tables that the form names."""
        from lakehouse.maintenance import selected

        return selected(tables, params["tables"])

    OptimizeOperator.partial(
        task_id="optimize",
        zorder="{{ params.zorder }}",
        hours="{{ params.hours }}",
        dry_run="{{ params.dry_run }}",
        pool=SPARK_POOL,
        map_index_template="{{ task.table }}",
    ).expand(table=select())
