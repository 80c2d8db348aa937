"""What Spark's checkpoint of a stream remembers, compared with what has landed.

Spark writes sources/0/0 (where it began) once, offsets/<n> before it begins batch n and commits/<n> after it: text, the
last line JSON: {topic: {partition: offset}}. Of a batch that was begun and not finished nobody knows whether its
records landed; Spark repeats it, and Delta's sink then takes none of them twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from lakehouse.delta import store
from lakehouse.stream.broker import Topic


def agrees(folder: str, topic: Topic, start: Mapping[int, int]) -> bool:
    """Whether Spark, going on by the checkpoint in `folder`, asks for the offsets `start` next.

    `start`: partition -> the next offset to land. A checkpoint that is not there, or cannot be read, agrees with
    nothing.
    """
    begun, done = (_numbers(f"{folder}/{kind}") for kind in ("offsets", "commits"))
    if not begun:
        return False
    last = begun[-1]
    candidates = [f"offsets/{last}"]
    if last not in done:
        candidates.append(f"offsets/{last - 1}" if last - 1 in begun else "sources/0/0")
    return any(_leads_to(_offsets(f"{folder}/{name}", topic.name), topic, start) for name in candidates)


def _leads_to(end: Mapping[int, int] | None, topic: Topic, start: Mapping[int, int]) -> bool:
    """Of a partition that it has not seen yet, Spark takes the first offset there is."""
    return end is not None and all(end.get(p, topic.offsets[p][0]) == offset for p, offset in start.items())


def _offsets(path: str, topic: str) -> dict[int, int] | None:
    try:
        told = json.loads(store.read(path).decode().splitlines()[-1])
        return {int(partition): int(offset) for partition, offset in told[topic].items()}
    except (FileNotFoundError, UnicodeDecodeError, ValueError, LookupError, AttributeError, TypeError):
        return None


def _numbers(folder: str) -> list[int]:
    return sorted(int(name) for name in store.names(folder) if name.isdecimal())
