"""The daily run of the lakehouse: bronze from the sources, silver by joining them, gold as a star schema.

**What lands where.** Each table folder under include/tables is one task group. Bronze appends what the sources said
since the watermark; silver keeps the latest state of each key; gold (dim_customer, dim_product, dim_date, fact_sales,
fact_behavior) is audited table by table and published together.

**Why it is safe to run again.** Every table is worked on a private branch, audited there, and published by one atomic
commit that carries its batch id. A retry, a cleared task or a second run of a day publishes nothing twice.

**What stops when.** A critical quality failure publishes nothing; tables that read the failed one do not run, the
others do, and the run fails. See runbooks/dq_failover.md.

**When it is late.** A run has two hours from its start, its gates what their contracts say (20 minutes). A miss mails
the tables' owners while the run still goes; so does a failure. See runbooks/stuck_run.md.

**Trigger by hand** without a logical date: loads everything from the watermark up to now, or to a moment that
the form names.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from lakehouse.manifest import load
from lakehouse_airflow import failure, forms, sla
from lakehouse_airflow.owners import owner_links, owners
from lakehouse_airflow.table_group import table_groups

tables = load().scheduled()

with DAG(
    dag_id="lakehouse_daily",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2025, 9, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-platform",
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        "execution_timeout": timedelta(hours=1),
    },
    dagrun_timeout=timedelta(hours=6),
    # A day's data, and two hours to load it: what the contracts promise as freshness.
    deadline=[sla.run_deadline(timedelta(hours=2), owners(tables)), *sla.gate_deadlines(tables)],
    on_failure_callback=failure.mail_failure(owners(tables)),
    params=forms.daily(),
    owner_links=owner_links(tables),
    tags=["lakehouse", "daily"],
    doc_md=__doc__,
) as dag:
    table_groups(tables)
