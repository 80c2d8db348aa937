"""Settings of a session for the time of a `with`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def setting(spark: SparkSession, values: Mapping[str, str]) -> Iterator[None]:
    """`values` are set meanwhile; afterwards the session has what it had before."""
    # A request for each name would cost as much as all else that a load asks before it writes.
    there = spark.conf.getAll
    before = {name: there.get(name) for name in values}
    try:
        _set(spark, values)
        yield
    except BaseException:
        # What went wrong is to be told, not that a dead session cannot be set back.
        with suppress(Exception):
            _set(spark, before)
        raise
    _set(spark, before)


def _set(spark: SparkSession, values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        spark.conf.unset(name) if value is None else spark.conf.set(name, value)
