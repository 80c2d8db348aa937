"""What Spark's checkpoint of a stream remembers, compared with what has landed.

Spark writes offsets/<n> before it begins batch n and commits/<n> after it: text, the last line JSON: {topic:
{partition: offset}}. A checkpoint is gone on with only where its last batch was finished: of one that was not, nobody
knows whether its records landed, and a new checkpoint costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from lakehouse.delta import store


def agrees(folder: str, topic: str, start: Mapping[int, int]) -> bool:
    """Whether Spark, going on by the checkpoint in `folder`, asks for the offsets `start` next.

    `start`: partition -> the next offset to land. A checkpoint that is not there, or not whole, agrees with nothing.
    """
    begun, done = (_numbers(f"{folder}/{kind}") for kind in ("offsets", "commits"))
    if not begun or not done or begun[-1] != done[-1] or not store.exists(f"{folder}/metadata"):
        return False
    try:
        told = json.loads(store.read(f"{folder}/offsets/{begun[-1]}").decode().splitlines()[-1])
        ends = {int(partition): int(offset) for partition, offset in told[topic].items()}
    except (FileNotFoundError, UnicodeDecodeError, ValueError, LookupError, AttributeError, TypeError):
        return False
    # A partition that it has not seen yet Spark takes from 0, or not at all.
    return all(ends.get(partition, 0) == offset for partition, offset in start.items())


def _numbers(folder: str) -> list[int]:
    return sorted(int(name) for name in store.names(folder) if name.isdecimal())
