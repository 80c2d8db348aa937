"""Connections to outside systems, by Airflow's own ids and environment convention, without Airflow.

The CLI and the library read `AIRFLOW_CONN_<ID>` (JSON or URI), and where it is not set the file that the running
sandbox wrote. Tasks inside Airflow get theirs from Airflow's secrets backend. Not for Spark: see `lakehouse.spark`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lakehouse.config import settings
from lakehouse.errors import LakehouseError
from lakehouse.sandbox import envfile

if TYPE_CHECKING:
    import httpx
    import psycopg2.extensions
    from snowflake.connector import SnowflakeConnection

#: What databases say when it is the credentials, and not the way there.
_REFUSALS = ("password", "username", "authentication", "jwt", "role ", "database ", "pg_hba", "user ", "account")

#: URI schemes that are not the connection type itself, as Airflow reads them.
SCHEMES = {"postgresql": "postgres"}
#: Seconds of silence after which an HTTP request is given up, unless the connection says otherwise.
HTTP_TIMEOUT = 30.0


class ConnectionMissing(LakehouseError):
    """No connection of that id is known here."""


class ConnectionMalformed(LakehouseError):
    """A connection is there and cannot be read, or lacks what its client needs."""


class ConnectionRefused(LakehouseError):
    """A system does not take the connection's credentials, or is not where the connection says."""


@dataclass(frozen=True)
class Connection:
    """One Airflow connection. Its password is never part of its repr."""

    conn_id: str
    conn_type: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    schema: str | None = None
    #: What the connection type has no field of its own for. May hold keys, so not in the repr either.
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def get(conn_id: str, environ: Mapping[str, str] | None = None) -> Connection:
    """The connection `conn_id`. Raises ConnectionMissing or ConnectionMalformed; neither shows a value."""
    env = os.environ if environ is None else environ
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = env.get(variable) or envfile.read(envfile.path(settings().home)).get(variable)
    if not text:
        raise ConnectionMissing(
            f"Connection '{conn_id}' is not set.",
            f"Run `lakehouse sandbox up`, or set {variable} to the connection as JSON or URI.",
        )
    return parse(conn_id, text)


def parse(conn_id: str, text: str) -> Connection:
    """A connection from the JSON or URI form that Airflow accepts in its environment variables."""
    try:
        return _from_json(conn_id, text) if text.lstrip().startswith("{") else _from_uri(conn_id, text)
    except (ValueError, TypeError, KeyError):
        # `from None`: a parser's own message quotes what it read, password included.
        raise ConnectionMalformed(
            f"Connection '{conn_id}' is neither Airflow's JSON nor its URI form.",
            f'Set AIRFLOW_CONN_{conn_id.upper()} like {{"conn_type": "postgres", "host": "...", "port": 5439}}.',
        ) from None


def _from_json(conn_id: str, text: str) -> Connection:
    raw = json.loads(text)
    extra = raw.get("extra") or {}
    return Connection(
        conn_id=conn_id,
        conn_type=str(raw["conn_type"]),
        host=raw.get("host") or None,
        port=int(raw["port"]) if raw.get("port") else None,
        login=raw.get("login") or None,
        password=raw.get("password") or None,
        schema=raw.get("schema") or None,
        extra=json.loads(extra) if isinstance(extra, str) else dict(extra),
    )


def _from_uri(conn_id: str, text: str) -> Connection:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("no scheme")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    extra = json.loads(query["__extra__"]) if "__extra__" in query else query
    # Not parts.hostname: that lower-cases, and a socket folder or an account name has a case.
    host = parts.netloc.rpartition("@")[2]
    if parts.port is not None:
        host = host.rpartition(":")[0]
    kind = parts.scheme.replace("-", "_")
    return Connection(
        conn_id=conn_id,
        conn_type=SCHEMES.get(kind, kind),
        host=unquote(host) or None,
        port=parts.port,
        login=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        schema=unquote(parts.path.lstrip("/")) or None,
        extra=extra,
    )


def open_snowflake(conn: Connection) -> SnowflakeConnection:
    """A connection of the Snowflake connector. The caller closes it.

    Key pair login: extra `private_key_file`, its passphrase as the password.
    """
    account = conn.extra.get("account")
    if not account:
        raise ConnectionMalformed(f"Connection '{conn.conn_id}' names no account.", "Set `account` in its extra.")
    # The connector would ask three clouds' metadata addresses where it runs, at every login.
    os.environ.setdefault("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true")
    import snowflake.connector

    options: dict[str, Any] = {"account": account, "user": conn.login, "schema": conn.schema, "login_timeout": 30}
    names = ("database", "warehouse", "role", "authenticator", "host", "port", "protocol", "private_key_file")
    options.update({name: conn.extra[name] for name in names if conn.extra.get(name)})
    if "port" in options:
        options["port"] = int(options["port"])
    options["private_key_file_pwd" if "private_key_file" in options else "password"] = conn.password
    with logging_in(conn.conn_id):
        opened = snowflake.connector.connect(**{key: value for key, value in options.items() if value is not None})
    opened.telemetry_enabled = False
    return opened


def open_postgres(conn: Connection) -> psycopg2.extensions.connection:
    """A psycopg2 connection; the host may be a unix socket's folder. The caller closes it."""
    import psycopg2

    names = ("sslmode", "sslrootcert", "options")
    with logging_in(conn.conn_id):
        return psycopg2.connect(
            host=conn.host,
            port=conn.port,
            user=conn.login,
            password=conn.password,
            dbname=conn.schema,
            connect_timeout=10,
            application_name="lakehouse",
            **{name: conn.extra[name] for name in names if conn.extra.get(name)},
        )


@contextmanager
def logging_in(conn_id: str) -> Iterator[None]:
    """A database client's errors as ConnectionRefused: theirs name hosts and accounts, and quote what they were given.

    Of the two clients only those are asked that are imported: the others can have raised nothing.
    """
    import sys

    clients = [sys.modules[name] for name in ("psycopg2", "snowflake.connector.errors") if name in sys.modules]
    try:
        yield
    except tuple(client.Error for client in clients) as error:
        told = str(error).lower()
        refused = any(word in told for word in _REFUSALS)
        code = getattr(error, "pgcode", None) or getattr(error, "errno", None)
        what = "refused the login" if refused else "could not be reached"
        remedy = "Set its login, password or key, database and role right" if refused else "Check its host and port"
        raise ConnectionRefused(
            f"The system behind connection '{conn_id}' {what}{f' ({code})' if code else ''}.",
            f"{remedy} (AIRFLOW_CONN_{conn_id.upper()} or Airflow's own store), then clear the task.",
        ) from None


def open_http(conn: Connection) -> httpx.Client:
    """An httpx client of the API at the connection's host, and its schema (default https). The caller closes it.

    The password is the key. Extra `key_header` names the header that carries it, `key_parameter` the query parameter;
    without either, login and password are sent as basic authentication. `timeout`: seconds of silence that are borne.
    """
    import httpx

    from lakehouse.keyed import KeyedTransport

    if not conn.host:
        raise ConnectionMalformed(f"Connection '{conn.conn_id}' names no host.", "Set the API's host in it.")
    address = conn.host if "://" in conn.host else f"{conn.schema or 'https'}://{conn.host}"
    if conn.port:
        address = f"{address}:{conn.port}"
    header, parameter = conn.extra.get("key_header"), conn.extra.get("key_parameter")
    headers = {str(header): conn.password or ""} if header else {}
    if conn.login and not header and not parameter:
        basic = base64.b64encode(f"{conn.login}:{conn.password or ''}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"}
    transport = KeyedTransport(address, headers, {str(parameter): conn.password or ""} if parameter else {})
    return httpx.Client(base_url=address, transport=transport, timeout=float(conn.extra.get("timeout") or HTTP_TIMEOUT))


def open_client(conn: Connection) -> Any:
    """An open client of the connection's type. The caller closes it."""
    if conn.conn_type == "snowflake":
        return open_snowflake(conn)
    if conn.conn_type in ("postgres", "redshift"):
        return open_postgres(conn)
    if conn.conn_type == "salesforce":
        from lakehouse.salesforce import open_salesforce

        return open_salesforce(conn)
    if conn.conn_type == "http":
        return open_http(conn)
    if conn.conn_type == "kafka":
        from lakehouse.stream.broker import Broker

        return Broker(conn)
    if conn.conn_type == "aws":
        from lakehouse import aws

        return aws.fresh_client("s3", aws.of(conn))
    if conn.conn_type == "fs":
        from lakehouse.ingest.files.stores import Folder

        return Folder(str(conn.extra.get("path") or "/"))
    raise ConnectionMalformed(
        f"Connection '{conn.conn_id}' is of type '{conn.conn_type}', which no source client serves.",
        "Use a connection of type snowflake, postgres, redshift, salesforce, http, kafka, aws or fs.",
    )


def open_source(conn_id: str) -> Any:
    """An open client connection for `conn_id`, by its type. The caller closes it."""
    return open_client(get(conn_id))
