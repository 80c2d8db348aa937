"""Settings about skew hold in every session, whoever runs the server."""

from __future__ import annotations

from typing import Any

from lakehouse.spark import connected
from lakehouse.spark.skew import SKEW


def test_every_session_has_them_even_where_the_server_says_otherwise(spark: Any) -> None:
    spark.conf.set("spark.sql.adaptive.skewJoin.enabled", "false")
    try:
        with connected("skew") as other:
            assert {name: other.conf.get(name) for name in SKEW} == SKEW
    finally:
        spark.conf.set("spark.sql.adaptive.skewJoin.enabled", "true")
