"""The public operators: each one step of a table, usable by hand without the generator (see `table_group`).

SparkTransformOperator has twins that do the same by batch jobs: EmrTransformOperator (`operators.emr`) and
SubmitTransformOperator (`operators.submit`). They are not imported here, for they bring their providers along.

All pass a batch, a small dictionary, from one to the next: `batch=extract.output`.
"""

from lakehouse_airflow.operators.backfill import BackfillOperator
from lakehouse_airflow.operators.catalog import RegisterCatalogOperator
from lakehouse_airflow.operators.extract import ExtractOperator
from lakehouse_airflow.operators.gate import DataQualityGateOperator
from lakehouse_airflow.operators.optimize import OptimizeOperator
from lakehouse_airflow.operators.override import OverrideOperator
from lakehouse_airflow.operators.publish import PublishOperator
from lakehouse_airflow.operators.stream import StreamOperator
from lakehouse_airflow.operators.transform import SparkTransformOperator
from lakehouse_airflow.operators.warehouse import WarehousePublishOperator
from lakehouse_airflow.operators.watermark import WatermarkUpdateOperator

__all__ = [
    "BackfillOperator",
    "DataQualityGateOperator",
    "ExtractOperator",
    "OptimizeOperator",
    "OverrideOperator",
    "PublishOperator",
    "RegisterCatalogOperator",
    "SparkTransformOperator",
    "StreamOperator",
    "WarehousePublishOperator",
    "WatermarkUpdateOperator",
]
