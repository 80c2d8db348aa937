"""Kill points: named places at which tests end a process, to prove that any crash can be resolved.

Nothing happens at one unless LAKEHOUSE_KILL_POINT holds its name. Then the process LAKEHOUSE_KILL_PID (default: this
one) gets SIGKILL: nothing is flushed, closed or released, as when a machine dies.
"""

from __future__ import annotations

import os
import signal

from lakehouse.errors import LakehouseError

#: Every point there is, in the order of registration. Modules register theirs when they are imported.
POINTS: list[str] = []


class UnknownKillPoint(LakehouseError):
    """Code reaches a point that no module registered, so no test would find it."""


def register(*names: str) -> None:
    """Make `names` known; those that are known already stay as they are."""
    POINTS.extend(name for name in names if name not in POINTS)


def reach(name: str) -> None:
    """End the process in question if this is the point to do so. Raises UnknownKillPoint for a name unregistered."""
    if name not in POINTS:
        raise UnknownKillPoint(f"Kill point '{name}' is unknown.", "Register it where its module is imported.")
    if os.environ.get("LAKEHOUSE_KILL_POINT") == name:
        os.kill(int(os.environ.get("LAKEHOUSE_KILL_PID") or os.getpid()), signal.SIGKILL)
