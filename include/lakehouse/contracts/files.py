"""What is wrong with the options of a source of type files, beyond their types."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Any

FORMATS = ("csv", "jsonl")


def option_faults(options: Mapping[str, Any], columns: set[str]) -> Iterator[tuple[str, str, str]]:
    """(option, what is wrong, remedy) for each of `options` that no feed of files could follow."""
    if options.get("format", "csv") not in FORMATS:
        yield "format", f"format '{options['format']}'", f"Use one of: {', '.join(FORMATS)}."
    delimiter = options.get("delimiter", ",")
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        yield "delimiter", f"delimiter {delimiter!r}", "Give one ASCII character that is no quote and no line end."
    if options.get("occurrence") not in {None, *columns}:
        yield (
            "occurrence",
            f"occurrence '{options['occurrence']}' is no column of this contract",
            "Add a BIGINT column.",
        )
    try:
        known = codecs.lookup(options.get("encoding", "utf-8"))
        # Python has codecs that make no text of bytes (hex, zlib, rot13).
        fine = getattr(known, "_is_text_encoding", True) and known.incrementaldecoder is not None
    except LookupError:
        fine = False
    if not fine:
        yield "encoding", f"encoding '{options['encoding']}' is unknown", "Use a name of Python's, e.g. utf-8, cp1252."
    try:
        re.compile(options.get("pattern", ""))
    except re.error as error:
        yield "pattern", f"pattern is no regular expression ({error})", "Mend it; quote it with '...' in YAML."
