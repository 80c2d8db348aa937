"""`lakehouse settings`: airflow_settings.yaml as files that Airflow's own import commands read.

For deployments that keep connections in Airflow's metadata (docker-compose). Not for production, where they come
from the secrets backend.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lakehouse.errors import LakehouseError

app = typer.Typer(no_args_is_help=True, help="Connections, pools and variables of airflow_settings.yaml.")

FOLDER = typer.Argument(help="Folder for connections.json, pools.json, variables.json and env; made if absent.")
SET = typer.Option("--set", help="conn_id.field=value: replace a field; extra.<key> is JSON or text. Repeatable.")
SET_ENV = typer.Option("--set-env", help="conn_id.field=VARIABLE: the same, from the environment: for secrets.")

#: Fields of a connection in Airflow's JSON form.
FIELDS = ("conn_type", "host", "schema", "login", "password", "port", "extra")


class SettingRefused(LakehouseError):
    """An override that names nothing, or has no value. Its message never shows a value: it may be a secret."""


@app.callback()
def settings() -> None:
    """Connections, pools and variables of airflow_settings.yaml."""


@app.command()
def export(
    folder: Annotated[Path, FOLDER],
    values: Annotated[list[str] | None, SET] = None,
    variables: Annotated[list[str] | None, SET_ENV] = None,
) -> None:
    """Write the settings for `airflow connections|pools|variables import`; readable by their owner only.

    The file `env` holds the connections as AIRFLOW_CONN_*: in LAKEHOUSE_HOME/sandbox this command line finds them.
    """
    from lakehouse.sandbox import declared, envfile

    found = declared.read()
    connections = {conn_id: dict(connection) for conn_id, connection in found.connections.items()}
    for text in values or []:
        target, value = _split(text, "--set")
        _put(connections, target, value)
    for text in variables or []:
        target, name = _split(text, "--set-env")
        if not os.environ.get(name):
            raise SettingRefused(f"--set-env {target}: {name} is not set.", f"Set {name}, or leave the option out.")
        _put(connections, target, os.environ[name])
    pools = {p.name: {"slots": p.slots, "description": p.description, "include_deferred": False} for p in found.pools}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("connections", connections), ("pools", pools), ("variables", dict(found.variables))):
        envfile.write_private(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")
    filled = declared.Declared(connections, found.pools, found.variables)
    envfile.write(folder / "env", filled.environment({}))
    typer.echo(f"{len(connections)} connections, {len(pools)} pools, {len(found.variables)} variables in {folder}.")


def _split(text: str, option: str) -> tuple[str, str]:
    target, equals, value = text.partition("=")
    if not equals or "." not in target:
        raise SettingRefused(f"{option} '{target}' is not of the form conn_id.field=value.", "Write it like that.")
    return target, value


def _put(connections: Mapping[str, dict[str, Any]], target: str, value: str) -> None:
    """Set `conn_id.field` or `conn_id.extra.key`: ports are numbers, extras JSON where they read so, all else text."""
    conn_id, _, name = target.partition(".")
    name, _, key = name.partition(".")
    if conn_id not in connections:
        raise SettingRefused(f"There is no connection '{conn_id}'.", f"Use one of: {', '.join(sorted(connections))}.")
    if name not in FIELDS or (name == "extra") != bool(key):
        raise SettingRefused(f"'{target}' is no field.", f"Use one of: {', '.join(FIELDS[:-1])}, extra.<key>.")
    connection = connections[conn_id]
    if key:
        connection["extra"] = {**connection.get("extra", {}), key: _json_or_text(value)}
    elif name == "port":
        if not value.isdecimal():
            raise SettingRefused(f"{target} is not a number.", "Give a port from 1 to 65535.")
        connection["port"] = int(value)
    else:
        connection[name] = value


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
