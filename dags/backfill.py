"""A range of past days once more, in one pass: for a table, and for all that is made of it.

**What it does.** From `bronze`, what landed in those days is computed anew, say after a change of SQL: silver and gold
of the keys that it touches. From `source`, windows that the ledger lacks are loaded first. Nothing runs once a day:
the range is one pass, in chunks.

**Why it is safe to run at any time.** Every table is worked on a branch, audited, and published by one commit, beside
the daily run too. Older rows never overwrite newer ones, and no watermark goes back. A retry, or the same form once
more, goes on where it was. `lakehouse backfill undo` takes it back.

**As the form opens** it only tells what it would do: tables, windows, sizes, time. Take out the tick to do it.

**When it is late.** Twelve hours from its start. See runbooks/backfill.md.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from lakehouse.manifest import load
from lakehouse_airflow import failure, forms, sla
from lakehouse_airflow.operators import BackfillOperator
from lakehouse_airflow.owners import owner_links, owners
from lakehouse_airflow.table_group import SPARK_POOL

tables = load()

with DAG(
    dag_id="lakehouse_backfill",
    schedule=None,
    start_date=datetime(2025, 9, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-platform",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=23),
    },
    dagrun_timeout=timedelta(hours=24),
    tags=["lakehouse", "backfill"],
    deadline=[sla.run_deadline(timedelta(hours=12), owners(tables), runbook="runbooks/backfill.md")],
    on_failure_callback=failure.mail_failure(owners(tables)),
    params=forms.backfill(tables.layer("bronze")[0].name),
    owner_links=owner_links(tables),
    render_template_as_native_obj=True,
    doc_md=__doc__,
) as dag:
    BackfillOperator(
        task_id="backfill",
        table="{{ params.table }}",
        start="{{ params.start }}",
        end="{{ params.end }}",
        origin="{{ params['from'] }}",
        dry_run="{{ params.dry_run }}",
        pool=SPARK_POOL,
    )
