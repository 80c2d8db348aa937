"""How the data of a table lies in files: count, bytes, histogram of sizes. Reads the log only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Upper bounds of the histogram's buckets, in bytes, and how each is called.
BUCKETS = ((1 << 20, "<1M"), (16 << 20, "<16M"), (128 << 20, "<128M"), (1 << 30, "<1G"), (1 << 62, ">=1G"))


@dataclass(frozen=True)
class Sizes:
    """The data files of one version of a table."""

    files: int
    bytes: int
    #: {bucket: files}, every bucket there.
    histogram: Mapping[str, int]


def sizes(adds: Iterable[Mapping[str, Any]]) -> Sizes:
    """Sizes of the files that these add actions name."""
    found = [int(add["size"]) for add in adds]
    histogram = dict.fromkeys((name for _, name in BUCKETS), 0)
    for size in found:
        histogram[next(name for bound, name in BUCKETS if size < bound)] += 1
    return Sizes(len(found), sum(found), histogram)
