"""`lakehouse spark`: a Spark Connect server in the foreground, for a container or a supervisor of one's own.

Not for a laptop: `lakehouse sandbox up` starts and ends one beside everything else.
"""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import urlsplit

import typer

from lakehouse.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="The Spark Connect server.")

MEMORY = typer.Option(help="Heap of the server, as Java writes it: 3g.")
MASTER = typer.Option(help="Spark master: local[*] runs everything in the server itself.")


@app.callback()
def spark() -> None:
    """The Spark Connect server."""


@app.command()
def serve(memory: Annotated[str, MEMORY] = "3g", master: Annotated[str, MASTER] = "local[*]") -> None:
    """Become the server that LAKEHOUSE_SPARK_REMOTE leads to: its port and its token, on loopback.

    Clients share its network namespace: they send a token without TLS to `localhost` only.
    """
    from lakehouse.config import settings
    from lakehouse.spark.server import connect_command

    port, token = _endpoint(settings().spark_remote)
    argv, environment = connect_command(port, token, settings().home / "spark", master=master, driver_memory=memory)
    os.execve(argv[0], argv, environment)  # noqa: S606 (no shell; this process becomes the server and gets its signals)


def _endpoint(remote: str) -> tuple[int, str]:
    """Port and token of sc://localhost:port/;token=... Raises ConfigError without showing the token."""
    parts = urlsplit(remote)
    parameters = dict(part.partition("=")[::2] for part in parts.path.lstrip("/").split(";") if part)
    if parts.scheme != "sc" or parts.hostname not in ("localhost", "127.0.0.1") or not parameters.get("token"):
        raise ConfigError(
            "LAKEHOUSE_SPARK_REMOTE does not lead to a server of this machine with a token.",
            "Set it to sc://localhost:15002/;token=<secret>.",
        )
    return parts.port or 15002, parameters["token"]
