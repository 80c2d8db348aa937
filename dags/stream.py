"""The stream of the lakehouse: topics of Kafka into bronze, every quarter of an hour.

**What lands where.** Structured Streaming appends the topic's raw records to a landing table, each offset once. From
there they go the way of every source: contract, quarantine, gate, publish; partition and offset of what was loaded are
in the ledger. silver.behavior_events reads bronze.shop_events with the next daily run.

**Why it is safe to run again.** The stream goes on where the landed records end, whatever became of its checkpoint; a
load takes each landed file once.

**What stops it.** A topic that was deleted and made again, or that has deleted what never landed, is told by name and
not read past. See runbooks/streaming_restart.md.

**When it is late.** Half an hour from its start, which a continuous stream of more minutes misses by intent: a miss
mails the tables' owners.

**Trigger by hand** as a continuous stream for some minutes: the form says how.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from lakehouse.manifest import load
from lakehouse_airflow import failure, forms, sla
from lakehouse_airflow.owners import owner_links, owners
from lakehouse_airflow.table_group import table_groups

tables = load().streamed()

with DAG(
    dag_id="lakehouse_stream",
    schedule=CronDataIntervalTimetable("*/15 * * * *", timezone="UTC"),
    start_date=datetime(2025, 9, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-platform",
        "retries": 2,
        "retry_delay": timedelta(seconds=20),
        # A continuous stream may run for hours.
        "execution_timeout": timedelta(hours=12),
    },
    dagrun_timeout=timedelta(hours=14),
    deadline=[
        sla.run_deadline(timedelta(minutes=30), owners(tables), runbook="runbooks/streaming_restart.md"),
        *sla.gate_deadlines(tables),
    ],
    on_failure_callback=failure.mail_failure(owners(tables)),
    params=forms.stream(),
    owner_links=owner_links(tables),
    tags=["lakehouse", "stream"],
    doc_md=__doc__,
) as dag:
    table_groups(tables)
