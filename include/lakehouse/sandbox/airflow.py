"""Airflow as part of the sandbox: its environment, its database, its four processes. Speaks to it by environment only.

All admins without login: for a sandbox on loopback, nowhere else (OPS-9).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version

import httpx

from lakehouse.config import PROJECT, settings
from lakehouse.sandbox import declared, ports, postgres, services
from lakehouse.sandbox.errors import ServiceFailed
from lakehouse.sandbox.processes import Service, log_path
from lakehouse.sandbox.services import Site

#: Name of the service whose port is the UI's, and the port it prefers.
UI = "airflow-api-server"
UI_PORT = 8080

#: Component -> arguments. No log servers: they listen on every address, and the API server reads the files itself.
COMPONENTS: Mapping[str, tuple[str, ...]] = {
    UI: ("api-server",),
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}


def url(site: Site) -> str:
    """Where the UI and the REST API are."""
    return f"http://{ports.HOST}:{site.ports[UI]}"


def environment(site: Site) -> dict[str, str]:
    """What Airflow, the tasks it starts, and any client of this sandbox need in their environment."""
    own, home, port = site.credentials, site.layout.home, site.ports
    database = f"{postgres.USER}:{own.postgres}@{ports.HOST}:{port['postgres']}/airflow"
    lineage = {"type": "file", "log_file_path": str(site.layout.lineage / "openlineage.jsonl"), "append": True}
    airflow = {
        "CORE__DAGS_FOLDER": str(site.dags),
        "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": os.environ.get("LAKEHOUSE_PARALLELISM") or "4",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__FERNET_KEY": own.fernet,
        "CORE__EXECUTION_API_SERVER_URL": f"{url(site)}/execution/",
        # The default asks the name server, which on a laptop may take seconds to answer.
        "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "API__HOST": ports.HOST,
        "API__PORT": str(port[UI]),
        "API__BASE_URL": url(site),
        "API__WORKERS": "1",
        "API__SECRET_KEY": own.session,
        "API_AUTH__JWT_SECRET": own.jwt,
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
        # The shop's calendar drives the days; un-pausing must not start a run for yesterday by the wall clock.
        "SCHEDULER__USE_JOB_SCHEDULE": "False",
        "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        # A file that changed is read at the next look all the same; the others, for new tables, more rarely.
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
        "OPENLINEAGE__TRANSPORT": json.dumps(lineage),
        "OPENLINEAGE__NAMESPACE": "lakehouse",
        # By default every event forks the task's process.
        "OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    env = {f"AIRFLOW__{key}": value for key, value in airflow.items()}
    # Another lake is another platform: Airflow starts anew for it.
    env.update({name: os.environ[name] for name in ("LAKEHOUSE_CONFIG", "LAKEHOUSE_LAKE") if os.environ.get(name)})
    env.update(declared.read().environment(services.endpoints(site)))
    env.update(
        AIRFLOW_HOME=str(site.layout.airflow),
        LAKEHOUSE_HOME=str(home),
        LAKEHOUSE_TABLES=str(settings().tables),
        LAKEHOUSE_CACHE=str(settings().cache),
        LAKEHOUSE_SPARK_REMOTE=services.spark_remote(site),
        LAKEHOUSE_AIRFLOW_URL=url(site),
        # Whatever asks Amazon without a connection asks the stand-in.
        AWS_ACCESS_KEY_ID="sandbox",
        AWS_SECRET_ACCESS_KEY="sandbox",  # noqa: S106 (the stand-in takes anything)
        AWS_DEFAULT_REGION="eu-west-1",
        AWS_ENDPOINT_URL=f"http://{ports.HOST}:{port['moto']}",
        AWS_EC2_METADATA_DISABLED="true",
        # Nobody outside this machine is asked or told anything.
        SNOWFLAKE_DISABLE_PLATFORM_DETECTION="true",
        SCARF_ANALYTICS="false",
        DO_NOT_TRACK="true",
        GX_ANALYTICS_ENABLED="false",
    )
    return env


def migrate(site: Site, env: Mapping[str, str]) -> None:
    """Bring the metadata database to this Airflow's version; no work where it is. Raises ServiceFailed."""
    wanted = f"airflow {version('apache-airflow-core')}"
    port, password = site.ports["postgres"], site.credentials.postgres
    if postgres.note(port, password, "airflow") == wanted:
        return
    log = log_path(site.layout.sandbox, "airflow-migrate")
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with log.open("wb") as out:
        ran = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env={**services.base_environment(site.layout), **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if ran.returncode != 0:
        raise ServiceFailed(
            f"Airflow could not migrate its database; {log} ends with:\n{log.read_text(errors='replace')[-1500:]}",
            "Read the log for the cause, then run `lakehouse sandbox up` again.",
        )
    postgres.annotate(port, password, "airflow", wanted)


def component(site: Site, env: Mapping[str, str], name: str) -> Service:
    """One of Airflow's processes."""
    whole = {**services.base_environment(site.layout), **env}
    return Service(
        name=name,
        argv=[sys.executable, "-m", "airflow", *COMPONENTS[name]],
        env=whole,
        port=site.ports[UI] if name == UI else None,
        ready=lambda since: _healthy(site, name, since),
        settings=json.dumps(env, sort_keys=True),
        deadline=240.0,
    )


def _healthy(site: Site, name: str, since: float) -> bool:
    """Whether the API server says that `name` is healthy, by a heartbeat of this process, not of one before it."""
    try:
        answer = httpx.get(f"{url(site)}/api/v2/monitor/health", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    if answer.status_code != httpx.codes.OK or name == UI:
        return answer.status_code == httpx.codes.OK
    key = name.removeprefix("airflow-").replace("-", "_")
    status = answer.json().get(key) or {}
    beat = status.get(f"latest_{key}_heartbeat")
    return status.get("status") == "healthy" and beat is not None and datetime.fromisoformat(beat).timestamp() >= since
