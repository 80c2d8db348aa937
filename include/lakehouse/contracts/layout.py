"""The `layout` custom property: how the rows of a table are laid into files when it is optimized.

Liquid clustering is a table feature that fast-forwards refuse, so the one layout is Z-order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Complain = Callable[[str, str, str], None]


def read_layout(value: Any, columns: set[str], partition_by: tuple[str, ...], complain: Complain) -> tuple[str, ...]:
    """Columns to Z-order by, () for none. `complain(key, what, remedy)` is called for each fault."""
    if value is None:
        return ()
    if not isinstance(value, dict) or set(value) != {"zorderBy"} or not isinstance(value["zorderBy"], list):
        complain("", "layout is no {zorderBy: [columns]}", "Write zorderBy with a list of columns.")
        return ()
    chosen = tuple(str(name) for name in value["zorderBy"])
    for name in chosen:
        if name not in columns:
            complain("zorderBy", f"layout: no such column: {name}", "Name columns of this contract.")
        elif name in partition_by:
            complain("zorderBy", f"layout: {name} partitions the table", "Leave it out: files hold one value of it.")
    if not 0 < len(chosen) <= 4 or len(set(chosen)) < len(chosen):
        complain("zorderBy", "layout.zorderBy repeats itself or is too long", "Give one to four columns, each once.")
    return chosen
