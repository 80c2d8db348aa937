"""Kafka topics: raw records into a Delta table of their own, each offset once. From there a load is like any other.

Not for decoding records or judging them: the feed of kind `kafka` (see `lakehouse.ingest.kafka`) and bronze do that.
"""
