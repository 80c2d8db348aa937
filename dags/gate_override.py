"""Let one failed candidate of one table through its quality gate, with a reason, on record.

**When.** A gate failed, and whoever answers for the table has looked at the rows and wants this very candidate
published all the same. Everything else is mended, not overridden: see runbooks/dq_failover.md.

**What it does.** Puts the override into `ops.overrides`: table, candidate, rules, who and why. It publishes nothing.
Afterwards clear the table's `dq_gate` task, with what is downstream and without `transform`: the gate audits the same
candidate again, and goes on. Worked out anew, it would be another candidate, which the override does not let through.

**Left as the form opens,** without a candidate, it only shows what the table's gate found last.

**Why it is safe to run again.** A candidate is overridden once; a second time is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from lakehouse.manifest import load
from lakehouse_airflow import failure, forms, sla
from lakehouse_airflow.operators import OverrideOperator
from lakehouse_airflow.owners import owner_links, owners

tables = load()

with DAG(
    dag_id="lakehouse_gate_override",
    schedule=None,
    start_date=datetime(2025, 9, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={
        "owner": "data-platform",
        "retries": 1,
        "retry_delay": timedelta(seconds=20),
        "execution_timeout": timedelta(minutes=5),
    },
    dagrun_timeout=timedelta(minutes=15),
    tags=["lakehouse", "quality"],
    deadline=[sla.run_deadline(timedelta(minutes=10), owners(tables), runbook="runbooks/dq_failover.md")],
    on_failure_callback=failure.mail_failure(owners(tables)),
    params=forms.override([entry.name for entry in tables.entries]),
    owner_links=owner_links(tables),
    render_template_as_native_obj=False,
    doc_md=__doc__,
) as dag:
    OverrideOperator(
        task_id="override",
        table="{{ params.table }}",
        candidate="{{ params.candidate }}",
        reason="{{ params.reason }}",
    )
