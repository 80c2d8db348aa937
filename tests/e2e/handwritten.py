"""A pipeline written by hand, without the generator: each public operator once, for one table and its reader."""

from datetime import UTC, datetime

from airflow.sdk import DAG

from lakehouse_airflow.operators import (
    DataQualityGateOperator,
    ExtractOperator,
    PublishOperator,
    SparkTransformOperator,
    WatermarkUpdateOperator,
)

with DAG("handwritten", schedule=None, start_date=datetime(2025, 10, 1, tzinfo=UTC), catchup=False, doc_md=__doc__):
    extract = ExtractOperator(task_id="extract", table="bronze.products")
    load = SparkTransformOperator(task_id="load", table="bronze.products", batch=extract.output)
    audit = DataQualityGateOperator(task_id="audit", table="bronze.products", batch=load.output)
    publish = PublishOperator(task_id="publish", batches=[audit.output])
    mark = WatermarkUpdateOperator(task_id="mark", table="bronze.products", batch=audit.output)
    build = SparkTransformOperator(task_id="build", table="silver.products")
    check = DataQualityGateOperator(task_id="check", table="silver.products", batch=build.output)
    publish >> [mark, build]
    PublishOperator(task_id="release", batches=[check.output])
