"""Let one failed candidate of one table through its quality gate, with a reason, on record.

**When.** A gate failed, and whoever answers for the table has looked at the rows and wants this very candidate
published all the same. Everything else is mended, not overridden: see runbooks/dq_failover.md.

**What it does.** Puts the override into `ops.overrides`: table, candidate, rules, who and why. It publishes nothing.
Afterwards clear the table's `dq_gate` task, with what is downstream and without `transform`: the gate audits the same
candidate again, and goes on. Worked out anew, it would be another candidate, which the override does not let through.

**Why it is safe to run again.** A candidate is overridden once; a second time is refused.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from lakehouse.manifest import load
from lakehouse_airflow.operators import OverrideOperator

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
    params={
        "table": Param(type="string", enum=[entry.name for entry in load().entries], title="Table"),
        "candidate": Param(
            type="string",
            pattern="^[0-9a-f]{8,64}$",
            title="Candidate",
            description="Its fingerprint, or the beginning of it: the failed gate and its mail name it.",
        ),
        "reason": Param(type="string", minLength=10, title="Reason", description="Why readers may see it. Kept."),
    },
    render_template_as_native_obj=False,
    doc_md=__doc__,
) as dag:
    OverrideOperator(
        task_id="override",
        table="{{ params.table }}",
        candidate="{{ params.candidate }}",
        reason="{{ params.reason }}",
    )
