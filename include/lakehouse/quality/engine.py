"""Great Expectations as this product runs it: quiet, in memory, on a Spark Connect session, with one metric of ours.

Not for rules (see `suite`) or verdicts (see `gate`).
"""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lakehouse.quality.measure import holds, judged

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from pyspark.sql import DataFrame


@contextmanager
def quiet() -> Iterator[None]:
    """Great Expectations imported and, inside, it and pyspark mute; the process's own logging stays as it was.

    The one tells hundreds of things at import. Both log Spark's messages when a query fails, and those may quote
    values of rows (OPS-5). What went wrong is told by us.
    """
    from pyspark.logger import PySparkLogger

    chatter = [
        logging.getLogger("great_expectations"),
        *map(PySparkLogger.getLogger, ("SQLQueryContextLogger", "DataFrameQueryContextLogger")),
    ]
    levels, shown = [logger.level for logger in chatter], warnings.showwarning
    for logger in chatter:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        _import()
        if warnings.showwarning is not shown:
            # Its validator sends the whole process's warnings to the log.
            logging.captureWarnings(False)
        yield
    finally:
        for logger, level in zip(chatter, levels, strict=True):
            logger.setLevel(level)


def validate(suite: ExpectationSuite, candidate: DataFrame, result_format: str = "BOOLEAN_ONLY") -> list[Any]:
    """The suite's results over `candidate`; an expectation that raised carries its exception_info.

    Any `result_format` but the default costs queries for each expectation, and brings values of rows to the driver.

    Nothing is cached, collected or written; the only network is the Connect session of `candidate`.
    """
    import great_expectations as gx
    from great_expectations.core.batch import Batch
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )
    from great_expectations.execution_engine import SparkDFExecutionEngine
    from great_expectations.validator.validator import Validator

    # The engine gets the candidate's own session: a Spark data source would look for the thread's active one, and
    # start a local JVM where there is none.
    engine = SparkDFExecutionEngine(spark=candidate.sparkSession, persist=False)
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        progress_bars=ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    validator = Validator(execution_engine=engine, data_context=context, batches=[Batch(data=candidate)])
    found: list[Any] = validator.validate(expectation_suite=suite, result_format=result_format).results
    return found


@lru_cache(maxsize=1)
def measured() -> type:
    """The expectation ExpectMeasure(expression, operators, usual): an aggregate expression yields a number that holds.

    Two numbers are a part and its whole, whose share must hold; with `usual`, the number in percent of it must.
    Without operators the number is only taken.
    Its metric is an aggregate, so that the engine puts all of a suite's into one query. Its result is that number at
    every result format.
    """
    from great_expectations.core.metric_domain_types import MetricDomainTypes
    from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
    from great_expectations.execution_engine import SparkDFExecutionEngine
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.metrics.metric_provider import metric_partial
    from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

    class Measure(TableMetricProvider):  # type: ignore[misc]
        metric_name = "table.measure"
        value_keys = ("expression",)

        @metric_partial(  # type: ignore[untyped-decorator]
            engine=SparkDFExecutionEngine,
            partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
            domain_type=MetricDomainTypes.TABLE,
        )
        def _spark(
            cls, metric_domain_kwargs: dict[str, Any], metric_value_kwargs: dict[str, Any], **_: Any
        ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
            from pyspark.sql import functions as F

            return F.expr(metric_value_kwargs["expression"]), metric_domain_kwargs, {}

    class ExpectMeasure(BatchExpectation):  # type: ignore[misc]
        expression: str
        operators: dict[str, Any]
        usual: float | None = None
        metric_dependencies = (Measure.metric_name,)
        success_keys = ("expression", "operators", "usual")

        def metrics_validate(
            self, metrics: Any, runtime_configuration: Any = None, execution_engine: Any = None, **kwargs: Any
        ) -> Any:
            # BOOLEAN_ONLY would drop the number, which is all there is and costs nothing more.
            told = (runtime_configuration or {}) | {"result_format": "BASIC"}
            return super().metrics_validate(metrics, told, execution_engine, **kwargs)

        def _validate(
            self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
        ) -> dict[str, Any]:
            value = metrics[Measure.metric_name]
            success = not self.operators or holds(judged(value, self.usual), self.operators)
            return {"success": success, "result": {"observed_value": value}}

    return ExpectMeasure


@lru_cache(maxsize=1)
def _import() -> None:
    """Import it without collecting garbage: nothing of 3000 modules is any, and looking costs a sixth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        import great_expectations  # noqa: F401
    finally:
        if collecting:
            gc.enable()
