"""Starts servers as process groups of their own, watches them become healthy, and ends all that came of them.

A process belongs to a service when it is the one recorded (pid and start time), a descendant of it, in its session,
or carries the sandbox's mark in its environment: a worker that outlived its parent is found by the latter two.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import psutil

from lakehouse.sandbox import ports
from lakehouse.sandbox.errors import ServiceFailed, ServiceStuck
from lakehouse.sandbox.state import Record

#: Names in a process's environment the sandbox folder it belongs to.
MARK = "LAKEHOUSE_SANDBOX_PROCESS"

#: Clocks: psutil computes a start time from boot time and ticks, and two readings may differ by this many seconds.
TOLERANCE = 2.0


@dataclass(frozen=True)
class Service:
    """How to start one server and how to tell that it serves."""

    name: str
    argv: list[str]
    #: The whole environment.
    env: Mapping[str, str] = field(repr=False)
    port: int | None
    #: Whether it serves; is given the start time of the process, in seconds since the epoch.
    ready: Callable[[float], bool]
    #: What, when changed, asks for a restart. May hold secrets: only its hash is kept.
    settings: str = field(repr=False, default="")
    #: Seconds until it must be ready.
    deadline: float = 120.0
    cwd: Path | None = None
    #: Account and group to run as, where not the caller's.
    user: tuple[int, int] | None = None

    @property
    def identity(self) -> str:
        """Changes when the service as running no longer is the one asked for."""
        return sha256("\0".join([*self.argv, self.settings]).encode()).hexdigest()[:16]


def start(service: Service, folder: Path) -> Record:
    """Start `service` in a session of its own, output to {folder}/logs/<name>.log. Returns at once."""
    log = log_path(folder, service.name)
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if log.is_file():
        log.replace(log.with_suffix(".log.1"))
    uid, gid = service.user or (None, None)
    with log.open("wb") as out:
        process = subprocess.Popen(
            service.argv,
            env={**service.env, MARK: str(folder)},
            cwd=service.cwd or folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
        )
    return Record(service.name, process.pid, psutil.Process(process.pid).create_time(), service.port, service.identity)


def await_ready(service: Service, record: Record, folder: Path, cancelled: threading.Event) -> None:
    """Return when `service` answers. Raises ServiceFailed with the end of its log when it ends or is late."""
    until = time.monotonic() + service.deadline
    pause = 0.05
    while not service.ready(record.created):
        if not alive(record):
            raise _failed(service, folder, "ended before it was ready")
        if time.monotonic() > until:
            raise _failed(service, folder, f"was not ready within {service.deadline:.0f} s")
        if cancelled.wait(pause):
            raise _failed(service, folder, "was not waited for")
        pause = min(pause * 1.5, 0.5)


def alive(record: Record) -> bool:
    """Whether the very process of `record` still runs."""
    return _process(record) is not None


def stop(records: Iterable[Record], grace: float = 10.0) -> None:
    """End the services of `records` and all that came of them: SIGTERM, after `grace` seconds SIGKILL."""
    records = list(records)
    family = _families(records)
    for process in family:
        # The leader of PostgreSQL takes SIGINT as "stop now, cleanly"; SIGTERM would wait for its clients.
        _send(process, signal.SIGINT if _is_postgres(process) else signal.SIGTERM)
    psutil.wait_procs(family, timeout=grace)
    _kill(lambda: _families(records, family))


def sweep(folder: Path) -> None:
    """End every process that carries this sandbox's mark and was not recorded, or outlived its record."""
    _kill(lambda: _marked(folder))


def log_path(folder: Path, name: str) -> Path:
    """Where the output of service `name` goes."""
    return folder / "logs" / f"{name}.log"


def _failed(service: Service, folder: Path, what: str) -> ServiceFailed:
    log = log_path(folder, service.name)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.is_file() else ""
    if service.port is not None and "in use" in tail.lower():
        who = ports.owner(service.port) or "another program"
        return ServiceFailed(
            f"The service '{service.name}' {what}: port {service.port} is taken by {who}.",
            "Run `lakehouse sandbox up` again: it takes another port.",
        )
    return ServiceFailed(
        f"The service '{service.name}' {what}. The end of {log}:\n{tail}",
        "Read the log for the cause, then run `lakehouse sandbox up` again.",
    )


def _process(record: Record) -> psutil.Process | None:
    try:
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.created) > TOLERANCE or _over(process):
            return None
        return process
    except psutil.NoSuchProcess:
        return None


def _over(process: psutil.Process) -> bool:
    """Ended, and only waiting for its parent to notice, or gone."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _families(records: Iterable[Record], known: Iterable[psutil.Process] = ()) -> list[psutil.Process]:
    """Every living process of `records`, and of the `known` ones that still live, leaders first."""
    found: dict[int, psutil.Process] = {process.pid: process for process in known if not _over(process)}
    booted = psutil.boot_time()
    for record in records:
        leader = _process(record)
        if leader is not None:
            found[leader.pid] = leader
        elif psutil.pid_exists(record.pid) and not _zombie(record.pid):
            continue  # The pid is somebody else's now, and so may be its session.
        if record.created < booted - TOLERANCE:
            continue  # From before the machine restarted.
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == record.pid and process.create_time() >= record.created - TOLERANCE:
                    found.setdefault(process.pid, process)
            except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
                continue
    for process in list(found.values()):
        try:
            for child in process.children(recursive=True):
                found.setdefault(child.pid, child)
        except psutil.NoSuchProcess:
            continue
    return [process for process in found.values() if process.pid != os.getpid() and not _over(process)]


def _zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _marked(folder: Path) -> list[psutil.Process]:
    """Living processes that carry the mark of `folder`. Not this one, nor those that called it."""
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in ours and process.environ().get(MARK) == str(folder) and not _over(process):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # Somebody else's process: not ours to read, so not ours to end.
    return found


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.NoSuchProcess:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)  # Checks the start time first: never a pid that was given away.
    except psutil.NoSuchProcess:
        return


def _kill(left: Callable[[], list[psutil.Process]]) -> None:
    """SIGKILL what `left` names until it names nothing. A process may have forked between two looks, hence the loop."""
    remaining = left()
    for _ in range(5):
        if not remaining:
            return
        for process in remaining:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(remaining, timeout=5)
        remaining = left()
    if remaining:
        pids = ", ".join(str(process.pid) for process in remaining)
        raise ServiceStuck(
            f"Processes {pids} survived SIGKILL.", "They hang in the system: end them as root, or reboot."
        )
