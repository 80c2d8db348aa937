"""Sessions inside a driver that spark-submit started: classic ones, side by side in its one Spark context.

Not for a process that is a client of a Connect server: see `lakehouse.spark.session`, which asks `submitted` first.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def submitted() -> bool:
    """Whether spark-submit started this Python process: it then says so by the port of its JVM."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def new_session() -> SparkSession:
    """A session of its own settings and temporary views. Its context is the process's, made at the first call."""
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate().newSession()


def stop() -> None:
    """End the context, and with it the application; the cluster's executors are free at once."""
    from pyspark.sql import SparkSession

    active = SparkSession.getActiveSession()
    if active:
        active.stop()
