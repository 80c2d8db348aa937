"""Source connections through Airflow's own hooks, or, where a hook does not give its client, through our own."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
from airflow.providers.standard.hooks.filesystem import FSHook
from airflow.sdk import BaseHook

from lakehouse import connections

#: Connection types whose client the library opens: the hooks of Airflow's providers reach neither a stand-in nor a
#: client that is only read from, or give one of three clients, by what is installed.
OURS = ("postgres", "redshift", "salesforce", "http", "kafka")


class LakehouseSnowflakeHook(SnowflakeHook):
    """The stock hook, plus `host`, `port` and `protocol` of the connection's extras, which it drops."""

    def _get_conn_params(self) -> dict[str, Any]:
        params = dict(super()._get_conn_params())
        extra = self.get_connection(self.get_conn_id()).extra_dejson
        return params | {key: extra[key] for key in ("host", "port", "protocol") if key in extra}


def open_source(conn_id: str) -> Any:
    """An open client connection for `conn_id`, by the hook of its type. The caller closes it."""
    connection = BaseHook.get_connection(conn_id)
    if connection.conn_type == "aws":
        return S3Hook(aws_conn_id=conn_id).get_conn()
    if connection.conn_type == "fs":
        from lakehouse.ingest.files.stores import Folder

        return Folder(FSHook(fs_conn_id=conn_id).get_path() or "/")
    if connection.conn_type == "snowflake":
        with connections.logging_in(conn_id):
            return LakehouseSnowflakeHook(snowflake_conn_id=conn_id).get_conn()
    if connection.conn_type in OURS:
        names = ("conn_type", "host", "port", "login", "password", "schema")
        told = {name: getattr(connection, name) for name in names}
        return connections.open_client(connections.Connection(conn_id, **told, extra=connection.extra_dejson))
    return connection.get_hook().get_conn()


def password(conn_id: str) -> bytes:
    """The connection's password: how keys reach a task."""
    return str(BaseHook.get_connection(conn_id).password or "").encode()
