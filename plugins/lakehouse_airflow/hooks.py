"""Source connections through Airflow's own hooks."""

from __future__ import annotations

from typing import Any

from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
from airflow.sdk import BaseHook

from lakehouse import connections


class LakehouseSnowflakeHook(SnowflakeHook):
    """The stock hook, plus `host`, `port` and `protocol` of the connection's extras, which it drops."""

    def _get_conn_params(self) -> dict[str, Any]:
        params = dict(super()._get_conn_params())
        extra = self.get_connection(self.get_conn_id()).extra_dejson
        return params | {key: extra[key] for key in ("host", "port", "protocol") if key in extra}


def open_source(conn_id: str) -> Any:
    """An open client connection for `conn_id`, by the hook of its type."""
    connection = BaseHook.get_connection(conn_id)
    if connection.conn_type == "snowflake":
        with connections.logging_in(conn_id):
            return LakehouseSnowflakeHook(snowflake_conn_id=conn_id).get_conn()
    if connection.conn_type in ("postgres", "redshift"):
        # Its own hooks give one of three clients, by what is installed; Arrow types are told by psycopg2's.
        names = ("conn_type", "host", "port", "login", "password", "schema")
        told = {name: getattr(connection, name) for name in names}
        return connections.open_postgres(connections.Connection(conn_id, **told, extra=connection.extra_dejson))
    return connection.get_hook().get_conn()


def password(conn_id: str) -> bytes:
    """The connection's password: how keys reach a task."""
    return str(BaseHook.get_connection(conn_id).password or "").encode()
