"""Skew, in one place: what Spark does about keys that most rows have, set for every session wherever its server runs.

Not here: what SQL does about them, which is to count each side before a join, and to leave null keys out of windows and
groupings (docs/decisions, "layout of tables").
"""

from __future__ import annotations

SKEW: dict[str, str] = {
    # Plans are mended while they run, by the sizes that shuffles turned out to have.
    "spark.sql.adaptive.enabled": "true",
    # A partition of a join above both bounds, times the median and bytes, is split over several tasks: no hot key, and
    # no null key of a LEFT JOIN's left side, runs on one core alone.
    "spark.sql.adaptive.skewJoin.enabled": "true",
    "spark.sql.adaptive.skewJoin.skewedPartitionFactor": "5.0",
    "spark.sql.adaptive.skewJoin.skewedPartitionThresholdInBytes": "256MB",
    # Rows to be written, spread over tasks by size: a hot partition makes several files, not one that is too large.
    "spark.sql.adaptive.optimizeSkewsInRebalancePartitions.enabled": "true",
    # Dimensions below this are sent to every task: a join by them shuffles nothing, so no key can be hot in it.
    "spark.sql.autoBroadcastJoinThreshold": "10MB",
}
