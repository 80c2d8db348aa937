"""Reads airflow_settings.yaml, the one place of connections, pools and variables, and fills in what the sandbox serves.

Strict where the Astro CLI skips in silence: an unknown key is an error naming the entry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lakehouse.config import PROJECT
from lakehouse.errors import ConfigError

#: The file's spelling -> the key of Airflow's JSON form.
CONNECTION_KEYS = {
    "conn_type": "conn_type",
    "conn_host": "host",
    "conn_schema": "schema",
    "conn_login": "login",
    "conn_password": "password",
    "conn_port": "port",
    "conn_extra": "extra",
}
POOL_KEYS = {"pool_name", "pool_slot", "pool_description"}
VARIABLE_KEYS = {"variable_name", "variable_value"}


@dataclass(frozen=True)
class Pool:
    """An Airflow pool."""

    name: str
    slots: int
    description: str


@dataclass(frozen=True)
class Endpoint:
    """What the sandbox knows better than the file, of a connection it serves."""

    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """What the file says: each connection in Airflow's JSON form, by id."""

    connections: Mapping[str, Mapping[str, Any]] = field(repr=False)
    pools: tuple[Pool, ...]
    variables: Mapping[str, str]

    def environment(self, served: Mapping[str, Endpoint]) -> dict[str, str]:
        """AIRFLOW_CONN_* as JSON, with the served endpoints filled in, and AIRFLOW_VAR_*."""
        env = {f"AIRFLOW_VAR_{name.upper()}": value for name, value in self.variables.items()}
        for conn_id, connection in self.connections.items():
            filled = dict(connection)
            endpoint = served.get(conn_id, Endpoint())
            for key in ("host", "port", "login", "password"):
                if getattr(endpoint, key) is not None:
                    filled[key] = getattr(endpoint, key)
            filled["extra"] = {**filled.get("extra", {}), **endpoint.extra}
            env[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(filled)
        return env


def read(file: Path | None = None) -> Declared:
    """The settings in `file` (default: the project's). Raises ConfigError naming file and entry."""
    file = file or PROJECT / "airflow_settings.yaml"
    if not file.is_file():
        raise ConfigError(f"There is no {file}.", "Restore it from the repository.")
    try:
        top = (yaml.safe_load(file.read_text()) or {})["airflow"]
        connections = {entry["conn_id"]: _connection(file, entry) for entry in top.get("connections") or []}
        pools = tuple(_pool(file, entry) for entry in top.get("pools") or [])
        variables = {}
        for entry in top.get("variables") or []:
            _known(file, entry, VARIABLE_KEYS)
            variables[str(entry["variable_name"])] = str(entry["variable_value"])
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not YAML: {error}", "Correct the line it names.") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file}: {error} is missing or an entry has the wrong shape.", "Compare with the entries beside it."
        ) from error
    return Declared(connections, pools, variables)


def _connection(file: Path, entry: Mapping[str, Any]) -> dict[str, Any]:
    _known(file, entry, {"conn_id", *CONNECTION_KEYS})
    connection = {CONNECTION_KEYS[key]: value for key, value in entry.items() if key != "conn_id"}
    connection["conn_type"] = entry["conn_type"]
    if isinstance(connection.get("extra"), str):
        connection["extra"] = json.loads(connection["extra"])
    return connection


def _pool(file: Path, entry: Mapping[str, Any]) -> Pool:
    _known(file, entry, POOL_KEYS)
    return Pool(str(entry["pool_name"]), int(entry["pool_slot"]), str(entry.get("pool_description", "")))


def _known(file: Path, entry: Mapping[str, Any], keys: set[str]) -> None:
    unknown = sorted(set(entry) - keys)
    if unknown:
        raise ConfigError(
            f"{file}: '{unknown[0]}' is no key of an entry there.", f"Use one of: {', '.join(sorted(keys))}."
        )
