"""The `layout` custom property: how the rows of a table are laid into files when it is optimized.

Liquid clustering is a table feature that fast-forwards refuse, so the one order of rows is Z-order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Complain = Callable[[str, str, str], None]

#: Bytes that files are filled up to, where a contract says nothing else; and the MiB that it may say.
TARGET = 256 << 20
LEAST_MIB, MOST_MIB = 128, 512


@dataclass(frozen=True)
class Layout:
    """`zorder_by`: columns that OPTIMIZE orders rows by; () only makes small files large. `target`: bytes of a file."""

    zorder_by: tuple[str, ...] = ()
    target: int = TARGET


def read_layout(value: Any, columns: set[str], partition_by: tuple[str, ...], complain: Complain) -> Layout:
    """The layout that `value` says. `complain(key, what, remedy)` is called for each fault."""
    if value is None:
        return Layout()
    if not isinstance(value, dict) or not value or set(value) - {"zorderBy", "targetFileMiB"}:
        complain("", "layout is no {zorderBy: [columns], targetFileMiB: size}", "Write one of the two, or both.")
        return Layout()
    chosen = _zorder(value.get("zorderBy"), columns, partition_by, complain) if "zorderBy" in value else ()
    size = value.get("targetFileMiB", TARGET >> 20)
    if isinstance(size, bool) or not isinstance(size, int) or not LEAST_MIB <= size <= MOST_MIB:
        complain("targetFileMiB", f"layout.targetFileMiB {size!r}", f"Give a number from {LEAST_MIB} to {MOST_MIB}.")
        return Layout(chosen)
    return Layout(chosen, size << 20)


def _zorder(value: Any, columns: set[str], partition_by: tuple[str, ...], complain: Complain) -> tuple[str, ...]:
    chosen = tuple(str(name) for name in value) if isinstance(value, list) else ()
    for name in chosen:
        if name not in columns:
            complain("zorderBy", f"layout: no such column: {name}", "Name columns of this contract.")
        elif name in partition_by:
            complain("zorderBy", f"layout: {name} partitions the table", "Leave it out: files hold one value of it.")
    if not 0 < len(chosen) <= 4 or len(set(chosen)) < len(chosen):
        complain("zorderBy", "layout.zorderBy is no list of one to four columns, each once", "Write such a list.")
    return chosen
