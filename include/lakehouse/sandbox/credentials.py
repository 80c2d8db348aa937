"""The random secrets of one sandbox, made once and kept in {home}/sandbox/secrets.json (mode 600)."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from lakehouse.sandbox import envfile
from lakehouse.sandbox.errors import SandboxBroken


def _random() -> str:
    return secrets.token_urlsafe(24)


def _fernet() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Credentials:
    """One secret a server. None is ever shown: the repr is empty."""

    snowflake: str = field(default_factory=_random, repr=False)
    postgres: str = field(default_factory=_random, repr=False)
    smtp: str = field(default_factory=_random, repr=False)
    salesforce: str = field(default_factory=_random, repr=False)
    #: Key of the exchange rate API.
    fx: str = field(default_factory=_random, repr=False)
    #: Token of the Spark Connect server.
    spark: str = field(default_factory=_random, repr=False)
    #: Key of the PII tokens. Another key gives other tokens, so a lake outlives its sandbox only with this file.
    pii: str = field(default_factory=_random, repr=False)
    #: Signs Airflow's API tokens.
    jwt: str = field(default_factory=_random, repr=False)
    #: Signs Airflow's web sessions.
    session: str = field(default_factory=_random, repr=False)
    #: Encrypts what Airflow stores.
    fernet: str = field(default_factory=_fernet, repr=False)


def load(folder: Path) -> Credentials:
    """The secrets kept in `folder`; missing ones are made and kept. Raises SandboxBroken on an unreadable file."""
    file = folder / "secrets.json"
    known: dict[str, str] = {}
    if file.is_file():
        try:
            raw = json.loads(file.read_text())
            known = {name.name: str(raw[name.name]) for name in fields(Credentials) if raw.get(name.name)}
        except (ValueError, AttributeError):
            raise SandboxBroken(
                f"{file} is not readable JSON.", "Restore it, or delete the sandbox folder to start afresh."
            ) from None
    loaded = Credentials(**known)
    if asdict(loaded) != known:
        envfile.write_private(file, json.dumps(asdict(loaded), indent=1))
    return loaded
