"""What a feed of files expects of its objects, from the contract and the source's options."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.feed import FAULT, RAW

#: Format and delimiter by the suffix of a key, `.gz` taken away.
SUFFIXES = {".csv": ("csv", ","), ".tsv": ("csv", "\t")} | dict.fromkeys((".jsonl", ".ndjson", ".json"), ("jsonl", ""))


@dataclass(frozen=True)
class Layout:
    """All names are the source's own; `required` and `reserved` are lower case."""

    #: Columns of the contract that come from the object, in order.
    columns: tuple[str, ...]
    #: Without these, an object with a header is none of this table.
    required: frozenset[str]
    #: Names that the feed gives columns of its own.
    reserved: frozenset[str]
    #: Whether a line must not be shown, since the contract protects a column.
    hide: bool
    #: Column that numbers identical lines of one object; "" for none.
    occurrence: str = ""
    #: Which keys are deliveries; named groups become columns.
    pattern: re.Pattern[str] = re.compile("")
    #: csv or jsonl; "" goes by the suffix of the key.
    format: str = ""
    delimiter: str = ""
    encoding: str = "utf-8"

    def of_key(self, key: str) -> tuple[str, str]:
        """Format and delimiter of the object `key`; "" where nothing says."""
        name = key.lower().removesuffix(".gz")
        form, delimiter = next((told for suffix, told in SUFFIXES.items() if name.endswith(suffix)), ("", ""))
        return self.format or form, self.delimiter or delimiter or ","

    def groups(self, key: str) -> dict[str, str | None]:
        """The columns that `key` itself gives to every row."""
        found = self.pattern.search(key)
        return dict(found.groupdict()) if found else dict.fromkeys(self.pattern.groupindex)


def layout(contract: Contract, source: Source) -> Layout:
    """The layout of `source`'s objects."""
    options = source.options
    pattern = re.compile(options.get("pattern", ""))
    occurrence = contract.column(options["occurrence"]).source_name if "occurrence" in options else ""
    given = _folded([*pattern.groupindex, *([occurrence] if occurrence else [])])
    own = [column for column in contract.columns if column.source_name.lower() not in given]
    needed = [column for column in own if column.required or column.name == source.cursor]
    return Layout(
        columns=tuple(column.source_name for column in own),
        required=_folded(column.source_name for column in needed),
        reserved=given | {FAULT, RAW},
        hide=any(column.protect for column in contract.columns),
        occurrence=occurrence,
        pattern=pattern,
        format=options.get("format", ""),
        delimiter=options.get("delimiter", ""),
        encoding=options.get("encoding", "utf-8"),
    )


def _folded(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
