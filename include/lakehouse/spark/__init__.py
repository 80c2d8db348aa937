"""Spark: finding Java, the jars, the command that starts a Connect server, and the client session.

The only package that opens Spark sessions or knows how a Connect server is started. Not for table logic:
branches and commits live in `lakehouse.delta`, transforms in the table folders.
"""

from lakehouse.spark.session import Fenced, SparkUnavailable, connect, connected, fence, gone, interrupt, session_id

__all__ = ["Fenced", "SparkUnavailable", "connect", "connected", "fence", "gone", "interrupt", "session_id"]
