"""Settings: read once from include/config/<name>.yaml and the few LAKEHOUSE_* variables, then frozen.

Not for secrets: those come from Airflow connections (see `lakehouse.connections`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from lakehouse.errors import ConfigError
from lakehouse.sections import JOBS, EmrJobs, MetricsSettings, SubmitJobs, Target, WarehouseSettings

_Section = TypeVar("_Section", bound=BaseModel)

#: The checkout (or image root) that holds include/, dags/ and plugins/.
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """Where things are and who serves them."""

    #: State of this installation: sandbox, logs, lake (local mode). `LAKEHOUSE_HOME`.
    home: Path
    #: Folder of table folders, <layer>/<table>/. `LAKEHOUSE_TABLES`.
    tables: Path
    #: Root URI or path of the lake: Delta tables, landing files, error lanes. `LAKEHOUSE_LAKE`.
    lake: str
    #: Downloads shared between checkouts: Spark jars. `LAKEHOUSE_CACHE`.
    cache: Path
    #: Spark Connect endpoint (sc://host:port/;token=...); empty means `LAKEHOUSE_SPARK_REMOTE` must say.
    spark_remote: str
    #: How transforms run as batch jobs; None: on the Connect endpoint, like everything else.
    jobs: SubmitJobs | EmrJobs | None
    #: Folder of the resolved Spark jars.
    spark_jars: Path
    #: Kind of the published watermark copy: sqlite or ssm.
    watermark_store: str
    #: SQLite file, or SSM path prefix.
    watermark_location: str
    #: Airflow connection whose password keys the PII tokens (HMAC-SHA256).
    pii_key_connection: str
    #: Inputs of a computed table that are smaller together, in bytes, are read in full, and so is a candidate by its
    #: gate where its unchanged files are. `LAKEHOUSE_INCREMENTS_FROM`.
    increments_from_bytes: int
    #: Folder of the JSON logs.
    logs: Path
    #: File the CLI appends OpenLineage events to.
    lineage: Path
    #: Where metrics go.
    metrics: MetricsSettings
    #: Where published tables go beside the lake.
    warehouse: WarehouseSettings
    #: What of AWS follows from the contracts; None: nothing.
    target: Target | None


def load(environ: dict[str, str] | None = None) -> Settings:
    """Read the settings for `environ` (default: this process's). Raises ConfigError naming file and key."""
    env = dict(os.environ if environ is None else environ)
    home = Path(env.get("LAKEHOUSE_HOME") or PROJECT / ".lakehouse").expanduser().resolve()
    cache = Path(env.get("LAKEHOUSE_CACHE") or Path.home() / ".cache" / "lakehouse").expanduser().resolve()
    source = PROJECT / "include" / "config" / f"{env.get('LAKEHOUSE_CONFIG') or 'local'}.yaml"
    if not source.is_file():
        known = ", ".join(sorted(p.stem for p in source.parent.glob("*.yaml")))
        raise ConfigError(f"No configuration {source}.", f"Set LAKEHOUSE_CONFIG to one of: {known}.")
    raw: dict[str, Any] = yaml.safe_load(source.read_text()) or {}

    def text(*keys: str) -> str:
        value: Any = raw
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise ConfigError(f"{source}: '{'.'.join(keys)}' is missing.", "Add it; local.yaml shows every key.")
            value = value[key]
        return str(value or "").format(home=home, cache=cache)

    tables = Path(env.get("LAKEHOUSE_TABLES") or PROJECT / "include" / "tables").expanduser().resolve()
    return Settings(
        home=home,
        tables=tables,
        lake=env.get("LAKEHOUSE_LAKE") or text("lake"),
        cache=cache,
        spark_remote=env.get("LAKEHOUSE_SPARK_REMOTE") or text("spark", "remote"),
        jobs=_jobs(source, _filled(raw.get("spark", {}).get("jobs"), home, cache)),
        spark_jars=Path(text("spark", "jars")),
        watermark_store=text("watermarks", "store"),
        watermark_location=text("watermarks", "location"),
        pii_key_connection=text("pii_key_connection"),
        increments_from_bytes=int(env.get("LAKEHOUSE_INCREMENTS_FROM") or text("increments_from_bytes") or 0),
        logs=Path(text("logs")),
        lineage=Path(text("lineage")),
        metrics=_section(source, "metrics", _filled(raw.get("metrics") or {}, home, cache), MetricsSettings),
        warehouse=_section(source, "warehouse", raw.get("warehouse") or {}, WarehouseSettings),
        target=_section(source, "aws", raw["aws"], Target) if raw.get("aws") else None,
    )


def _filled(value: Any, home: Path, cache: Path) -> Any:
    """`value` with {home} and {cache} filled into its texts, however deep."""
    if isinstance(value, dict):
        return {key: _filled(part, home, cache) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, home, cache) for part in value]
    return value.format(home=home, cache=cache) if isinstance(value, str) else value


def _jobs(source: Path, raw: Any) -> SubmitJobs | EmrJobs | None:
    """The section of the kind it says. Raises ConfigError."""
    if not raw:
        return None
    kind = raw.get("kind") if isinstance(raw, dict) else raw
    if kind not in JOBS:
        raise ConfigError(f"{source}: spark.jobs.kind '{kind}' is not known.", f"Use one of: {', '.join(JOBS)}.")
    return _section(source, "spark.jobs", raw, JOBS[kind])


def _section(source: Path, name: str, raw: Any, model: type[_Section]) -> _Section:
    """A part of the file as its own values. Raises ConfigError naming file, key and fault."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(step) for step in (name, *first["loc"]))
        raise ConfigError(f"{source}: {key}: {first['msg']}.", "Mend it; docs/deploy.md tells every key.") from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process."""
    return load()
