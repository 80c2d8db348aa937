"""What is wrong with the options and columns of a source of type kafka, beyond types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

#: Columns that say where a record was, by the names that the feed gives them.
META = ("kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp", "kafka_key")
#: Those that a contract must have: they are the record's identity.
NEEDED = META[:4]
STARTS = ("earliest", "latest")


def option_faults(options: Mapping[str, Any], columns: set[str]) -> Iterator[tuple[str, str, str]]:
    """(option, what is wrong, remedy) for each of `options` that no stream could follow, and for columns that lack."""
    if options.get("startingOffsets", "earliest") not in STARTS:
        yield "startingOffsets", f"'{options['startingOffsets']}'", f"Use one of: {', '.join(STARTS)}."
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        yield (
            "",
            f"the contract has no column {', '.join(missing)}",
            f"A source of type kafka needs {', '.join(NEEDED)}.",
        )
