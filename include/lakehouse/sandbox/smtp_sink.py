"""The mail server that delivers nothing: `python -m lakehouse.sandbox.smtp_sink --port P --dir DIR`.

Each mail becomes one .eml in DIR, named by arrival. Clients log in with the password in SMTP_PASSWORD.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import itertools
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


class Sink:
    """Keeps what it receives."""

    def __init__(self, folder: Path) -> None:
        """`folder` gets the mails."""
        self._folder = folder
        self._number = itertools.count()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep one mail. A reader never sees half of one."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{next(self._number):04d}.eml"
        draft = self._folder / f".{name}"
        draft.write_bytes(envelope.original_content or envelope.content)
        draft.replace(self._folder / name)
        return "250 OK"


async def serve(port: int, folder: Path, password: str) -> None:
    """Serve until SIGTERM or SIGINT."""
    from aiosmtpd.smtp import SMTP, AuthResult

    def check(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=hmac.compare_digest(bytes(given.password), password.encode()), handled=False)

    def connection() -> SMTP:
        # No TLS on loopback, so a login must be accepted without.
        return SMTP(
            sink, authenticator=check, auth_required=True, auth_require_tls=False, enable_SMTPUTF8=True, hostname=HOST
        )

    sink = Sink(folder)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(connection, HOST, port)
    async with server:
        await stopped.wait()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.dir, os.environ["SMTP_PASSWORD"]))


if __name__ == "__main__":
    main()
