"""The form of bronze's data files: how Spark is to write them as Parquet."""

from __future__ import annotations

from lakehouse.contracts.model import Contract, Source

#: Parquet's second version has numbers as differences, and of text what differs: files are a quarter smaller, and are
#: written and read the sooner. Not every reader knows it: other layers, which any may read, keep the first.
FORM = {"parquet.writer.version": "v2"}


def form(contract: Contract, source: Source) -> dict[str, str]:
    """Session settings under which a load of the table is written."""
    settings = dict(FORM)
    key = contract.primary_key if len(contract.primary_key) == 1 else ()
    # A dictionary is begun in vain where nearly every row has a value of its own; where values come in order, or are
    # all the same, differences are smaller.
    for name in (*key, source.cursor, "_ingest_ts", "_run_date", "_row_hash"):
        settings[f"parquet.enable.dictionary#{name}"] = "false"
    return settings
