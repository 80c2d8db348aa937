"""A DAG that waits for a table: one run for each publish it is told of."""

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from lakehouse_airflow.assets import asset

with DAG(
    "consumer",
    schedule=[asset("bronze.orders")],
    start_date=datetime(2025, 9, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
):

    @task
    def heard():
        """Nothing is to be done."""

    heard()
