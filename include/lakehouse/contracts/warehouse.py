"""The `warehouse` custom property: whether a table goes to the warehouse. Gold does, where nothing is said.

What the warehouse cannot hold, or could not be kept up with, is refused here: rows are found again by their key, and
names there know no case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Complain = Callable[[str, str], None]


def read_warehouse(value: Any, layer: str, types: Mapping[str, str], strategy: str, complain: Complain) -> bool:
    """Whether the table of `layer` is published. `types` is {column: Spark type}; faults go to `complain`."""
    if value is not None and not isinstance(value, bool):
        complain(f"warehouse '{value}'", "Write true or false; left out, it is true in gold alone.")
        return False
    chosen = layer == "gold" if value is None else value
    if not chosen:
        return False
    if strategy == "append":
        complain(
            "warehouse: a table that is appended to holds several states of a key",
            "Publish the silver table that is made of it.",
        )
    for name, kind in types.items():
        if kind.startswith("ARRAY"):
            complain(f"warehouse: column {name} is an {kind}", "Set warehouse to false, or leave the column out.")
    upper = [name.upper() for name in types]
    for name in sorted({name for name in upper if upper.count(name) > 1}):
        complain(f"warehouse: two columns are {name} there", "Names differ there by more than case: rename one.")
    return True
