"""How AWS is reached: the Airflow connection `aws_default`, or the machine's own credentials where it is not set.

Not for what is done there: each room makes its own client from `Access`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from lakehouse import connections
from lakehouse.connections import Connection, ConnectionMissing

CONNECTION = "aws_default"


@dataclass(frozen=True)
class Access:
    """Where AWS is and who we are there. Everything empty: what boto3's own chain finds."""

    #: Base URL of a stand-in or a private endpoint.
    endpoint: str = ""
    region: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def environment(self) -> dict[str, str]:
        """The credentials as the variables that every AWS client reads. Secrets travel so, never in argv or files."""
        named = {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_SESSION_TOKEN": self.token,
            "AWS_REGION": self.region,
        }
        return {name: value for name, value in named.items() if value}


def access() -> Access:
    """Access by `aws_default` where that is set, by the environment and boto3's chain otherwise."""
    try:
        return of(connections.get(CONNECTION))
    except ConnectionMissing:
        env = os.environ
        return Access(
            endpoint=env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or "",
            region=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION") or "",
        )


def of(connection: Connection) -> Access:
    """Access as an Airflow connection of type `aws` tells it."""
    told = connection.extra
    return Access(
        endpoint=str(told.get("endpoint_url") or ""),
        region=str(told.get("region_name") or ""),
        key=connection.login or "",
        secret=connection.password or "",
        token=str(told.get("aws_session_token") or ""),
    )


def credentials(known: Access) -> Access:
    """`known` with the keys and region that boto3's chain finds, for clients that have no such chain of their own."""
    if known.key and known.region:
        return known
    import boto3

    session = boto3.Session()
    found = None if known.key else session.get_credentials()
    frozen = found.get_frozen_credentials() if found else None
    return Access(
        endpoint=known.endpoint,
        region=known.region or session.region_name or "us-east-1",
        key=known.key or (frozen.access_key if frozen else "") or "",
        secret=known.secret or (frozen.secret_key if frozen else "") or "",
        token=known.token or (frozen.token if frozen else "") or "",
    )


def client(service: str, known: Access, **settings: Any) -> Any:
    """A boto3 client, made once a process (a forked child makes its own). `settings` are botocore's Config."""
    return _client(service, known, tuple(sorted(settings.items())), os.getpid())


@lru_cache(maxsize=16)
def _client(service: str, known: Access, settings: tuple[tuple[str, Any], ...], pid: int) -> Any:
    # Retries are (name, value) pairs here, to be hashable.
    return fresh_client(
        service, known, **{name: dict(value) if isinstance(value, tuple) else value for name, value in settings}
    )


def fresh_client(service: str, known: Access, **settings: Any) -> Any:
    """A boto3 client of the caller's own, who closes it. `settings` are botocore's Config."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        service,
        endpoint_url=known.endpoint or None,
        region_name=known.region or None,
        aws_access_key_id=known.key or None,
        aws_secret_access_key=known.secret or None,
        aws_session_token=known.token or None,
        config=Config(**settings),
    )
