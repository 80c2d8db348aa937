"""Gold to Snowflake: what changed in each table since the version that went last, as soon as one is published.

**What it does.** Every table whose contract sends it there (gold, unless it says otherwise) is brought to its latest
version: changed and deleted rows are staged, merged, compared with the lake by count and sums, and recorded, in one
transaction a table. A table too far behind (its changes are gone, its columns changed) goes whole, and is told so.

**Why it is safe to run again.** Snowflake itself keeps which version it holds, committed with the rows. A retry, a run
that was killed, or two at once send each change once; where nothing is new, nothing is done.

**What stops it.** Counts or sums that differ afterwards: nothing is committed, and the table's task fails and names
them. The other tables go on. See runbooks/warehouse.md.

**When it is late.** An hour from its start. A miss mails the tables' owners.

**Trigger by hand**, to send tables whole: the form says how. Backfills tell of no news: what they change goes with the
next run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, AssetAny

from lakehouse.manifest import load
from lakehouse_airflow import failure, forms, sla
from lakehouse_airflow.assets import asset
from lakehouse_airflow.operators import WarehousePublishOperator
from lakehouse_airflow.owners import owner_links, owners

tables = load().warehoused()

with DAG(
    dag_id="lakehouse_publish",
    schedule=AssetAny(*[asset(entry.name) for entry in tables.entries]) if tables.entries else None,
    start_date=datetime(2025, 9, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-platform",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=2),
    },
    dagrun_timeout=timedelta(hours=6),
    tags=["lakehouse", "snowflake"],
    deadline=[sla.run_deadline(timedelta(hours=1), owners(tables), runbook="runbooks/warehouse.md")],
    on_failure_callback=failure.mail_failure(owners(tables), "runbooks/warehouse.md"),
    params=forms.warehouse(),
    owner_links=owner_links(tables),
    render_template_as_native_obj=True,
    doc_md=__doc__,
) as dag:
    for entry in tables.entries:
        WarehousePublishOperator(
            task_id=entry.name.replace(".", "_"),
            table=entry.name,
            whole="{{ params.whole }}",
            pool="snowflake",
        )
