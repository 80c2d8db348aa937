"""What the sandbox remembers between commands: ports, and the processes it started. {home}/sandbox/state.json.

A process is known by pid and start time, so a pid that the system gave to somebody else is never signalled.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lakehouse.sandbox import envfile
from lakehouse.sandbox.errors import SandboxBroken


@dataclass(frozen=True)
class Record:
    """One started service."""

    name: str
    #: Also its session and process group: every service leads its own.
    pid: int
    #: Seconds since the epoch, as psutil tells it.
    created: float
    port: int | None
    #: Hash of what was started; another one means that the service must be started anew.
    identity: str


@dataclass
class State:
    """The whole file."""

    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, Record] = field(default_factory=dict)


class StateFile:
    """Reads and changes the state of one sandbox. Safe for threads; between processes, hold `locked`."""

    def __init__(self, folder: Path) -> None:
        """`folder` is {home}/sandbox."""
        self._file = folder / "state.json"
        self._lock_file = folder / "lock"
        self._mutex = threading.Lock()

    def load(self) -> State:
        """The state as last written; an empty one before the first time."""
        if not self._file.is_file():
            return State()
        try:
            raw = json.loads(self._file.read_text())
            services = {name: Record(**record) for name, record in raw["services"].items()}
            return State({name: int(port) for name, port in raw["ports"].items()}, services)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise SandboxBroken(
                f"{self._file} cannot be read.",
                "End the processes that the sandbox started by hand, then delete the file.",
            ) from None

    def change(self, apply: Callable[[State], None]) -> None:
        """Load, let `apply` change it, write it back in one step."""
        with self._mutex:
            state = self.load()
            apply(state)
            envfile.write_private(self._file, json.dumps(asdict(state), indent=1))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds other `up` and `down` of the same sandbox off. Raises SandboxBroken where one is at it."""
        with self._lock_file.open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SandboxBroken(
                    f"Another command is starting or stopping the sandbox in {self._file.parent}.",
                    "Wait for it to end, then run this again.",
                ) from None
            yield
