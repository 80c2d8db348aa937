"""A read-only SELECT over published tables, each pinned at its latest version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class QueryRefused(LakehouseError):
    """A query that is no SELECT over known tables."""


def run_query(sql: str) -> DataFrame:
    """The result of `sql` as a frame. Raises QueryRefused for anything but one SELECT over published tables."""
    from lakehouse.delta import latest_version
    from lakehouse.spark import connect
    from lakehouse.transform.inputs import Input, register
    from lakehouse.transform.sql import parse_query

    tree = parse_query(sql)
    inputs = {}
    for name in tree.reads:
        version = latest_version(paths.table(name))
        if version < 0:
            raise QueryRefused(f"There is no published table '{name}'.", "See `lakehouse status` for what there is.")
        inputs[name] = Input(name, paths.table(name), version, version)
    spark = connect("query")
    from pyspark.errors import PySparkException

    try:
        frame = spark.sql(tree.over(register(spark, inputs)))
        _ = frame.schema
    except PySparkException as error:
        raise QueryRefused(str(error).splitlines()[0], "Mend the query.") from error
    return frame
