"""A read-only SELECT over published tables, each pinned at its latest version."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class QueryRefused(LakehouseError):
    """A query that is no SELECT over known tables."""


def run_query(sql: str, as_of: datetime | None = None) -> DataFrame:
    """The result of `sql` as a frame, over the tables as they are or as they were published at `as_of`.

    Raises QueryRefused for anything but one SELECT over tables published by then.
    """
    from lakehouse.delta import latest_version, version_at
    from lakehouse.spark import connect
    from lakehouse.transform.inputs import Input, register
    from lakehouse.transform.sql import parse_query

    tree = parse_query(sql)
    inputs = {}
    for name in tree.reads:
        path = paths.table(name)
        version = latest_version(path) if as_of is None else version_at(path, as_of)
        if version < 0:
            when = f" at {as_of.isoformat()}" if as_of else ""
            raise QueryRefused(
                f"There is no published table '{name}'{when}.", "See `lakehouse status` for what there is."
            )
        inputs[name] = Input(name, paths.table(name), version, version)
    spark = connect("query")
    from pyspark.errors import PySparkException

    try:
        frame = spark.sql(tree.over(register(spark, inputs)))
        _ = frame.schema
    except PySparkException as error:
        raise QueryRefused(str(error).splitlines()[0], "Mend the query.") from error
    return frame
