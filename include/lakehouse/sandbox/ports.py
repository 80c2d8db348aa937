"""Which port each server gets: the one it had before, else a free one. Loopback only (OPS-9)."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping

import psutil

from lakehouse.sandbox.errors import PortTaken, SandboxBroken

#: Below what systems hand out to outgoing connections (Linux 32768, macOS 49152), so that a remembered port is not
#: taken by somebody's client while the sandbox is down.
CANDIDATES = range(20000, 32000)

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a server that just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    # Some systems let two sockets share a port where one is bound to every address: ask whether anybody answers.
    return not answers(port)


def answers(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1:`port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0


def free_port(avoid: Iterable[int] = ()) -> int:
    """A port nobody listens on, not in `avoid`."""
    taken = set(avoid)
    # Not for secrets: only two sandboxes starting at once should not try the same numbers in the same order.
    for port in random.sample(CANDIDATES, 500):
        if port not in taken and is_free(port):
            return port
    raise SandboxBroken(
        f"No free port was found between {CANDIDATES.start} and {CANDIDATES.stop}.",
        "End some of this machine's servers.",
    )


def owner(port: int) -> str | None:
    """Who listens on `port`, as 'name (pid 123)', where this user may know."""
    try:
        found = [c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.status == "LISTEN"]
        if found and found[0].pid:
            return f"{psutil.Process(found[0].pid).name()} (pid {found[0].pid})"
    except (psutil.Error, OSError):
        # macOS tells nobody but root; the port is taken all the same.
        return None
    return None


def choose(name: str, remembered: Mapping[str, int], avoid: Iterable[int], preferred: int | None = None) -> int:
    """The port for `name`: the remembered one if still free, else `preferred`, else any."""
    taken = set(avoid)
    for port in (remembered.get(name), preferred):
        if port is not None and port not in taken and is_free(port):
            return port
    return free_port(taken | set(remembered.values()))


def fixed(name: str, port: int, variable: str) -> int:
    """`port`, which the user set by `variable`. Raises PortTaken naming its owner where it is known."""
    if is_free(port):
        return port
    who = owner(port)
    raise PortTaken(
        f"Port {port}, set for {name} by {variable}, is taken by {who or 'another program'}.",
        f"End that program, set {variable} to another port, or unset it to get a free one.",
    )
