"""The stand-ins: one function a service, saying how it is started. Airflow's own are in `airflow.py`.

A new stand-in is one function here, one entry in `PLANS`, and one in `endpoints` where a connection leads to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lakehouse import aws, connections
from lakehouse.aws import Access
from lakehouse.sandbox import declared, kafka, ports, postgres
from lakehouse.sandbox.credentials import Credentials
from lakehouse.sandbox.declared import Endpoint
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.processes import Service

#: Airflow's and Amazon's variables of the caller's shell: a sandbox must reach neither another Airflow nor the cloud.
FOREIGN = ("AIRFLOW_", "AWS_", "_AIRFLOW_")


@dataclass(frozen=True)
class Site:
    """One sandbox: its folders, secrets, ports and DAG folder."""

    layout: Layout
    credentials: Credentials
    #: Port by service name.
    ports: Mapping[str, int]
    dags: Path


def base_environment(layout: Layout) -> dict[str, str]:
    """The caller's environment without what leads elsewhere, with scratch space of our own and this Python first."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    env.update(TMPDIR=str(layout.scratch), PYTHONUNBUFFERED="1", LAKEHOUSE_HOME=str(layout.home))
    return env


def endpoints(site: Site) -> dict[str, Endpoint]:
    """What the sandbox fills into the connections it serves."""
    own, port = site.credentials, site.ports
    return {
        "snowflake_default": Endpoint(
            password=own.snowflake, extra={"host": ports.HOST, "port": port["snowflake"], "protocol": "http"}
        ),
        "redshift_default": Endpoint(ports.HOST, port["postgres"], postgres.USER, own.postgres),
        "salesforce_default": Endpoint(
            password=own.salesforce, extra={"endpoint_url": f"http://{ports.HOST}:{port['web']}"}
        ),
        "fx_api": Endpoint(ports.HOST, port["web"], password=own.fx),
        "kafka_default": Endpoint(ports.HOST, port["kafka"]),
        "aws_default": Endpoint(extra={"endpoint_url": f"http://{ports.HOST}:{port['moto']}"}),
        "spark_default": Endpoint("localhost", port["spark"], password=own.spark),
        "smtp_default": Endpoint(ports.HOST, port["smtp"], password=own.smtp),
        "pii_key": Endpoint(password=own.pii),
    }


def spark_remote(site: Site) -> str:
    """The Connect URL. By name, not address: the client sends a token without TLS to `localhost` only."""
    return f"sc://localhost:{site.ports['spark']}/;token={site.credentials.spark}"


def aws_access(site: Site) -> Access:
    """What the sandbox's own clients of AWS are told, whatever cloud the caller's shell leads to."""
    told = declared.read().environment(endpoints(site))[f"AIRFLOW_CONN_{aws.CONNECTION.upper()}"]
    return aws.of(connections.parse(aws.CONNECTION, told))


def postgres_service(site: Site) -> Service:
    """PostgreSQL, initialised the first time."""
    port, password = site.ports["postgres"], site.credentials.postgres
    binaries, data = postgres.prepare(site.layout, password)
    return Service(
        name="postgres",
        argv=postgres.command(binaries, data, port),
        env=postgres.environment(os.environ),
        port=port,
        ready=lambda since: postgres.answers(port, password),
        # It may run as an account that cannot enter ours.
        cwd=Path("/"),
        user=postgres.account(),
    )


def snowflake_service(site: Site) -> Service:
    """The Snowflake stand-in, over the database files in {home}/sandbox/snowflake."""
    port = site.ports["snowflake"]
    argv = [sys.executable, "-m", "lakehouse.sandbox.snowflake_server", "--port", str(port)]
    argv += ["--data", str(site.layout.snowflake)]
    env = {**base_environment(site.layout), "SNOWFLAKE_PASSWORD": site.credentials.snowflake}
    return _python("snowflake", argv, env, port, site.credentials.snowflake)


def web_service(site: Site) -> Service:
    """Salesforce and the exchange rate API, over the file in {home}/sandbox/web."""
    port, own = site.ports["web"], site.credentials
    argv = [sys.executable, "-m", "lakehouse.sandbox.web.server", "--port", str(port), "--data", str(site.layout.web)]
    secrets = {"SALESFORCE_PASSWORD": own.salesforce, "FX_KEY": own.fx}
    return _python("web", argv, base_environment(site.layout) | secrets, port, "".join(secrets.values()))


def smtp_service(site: Site) -> Service:
    """The mail sink."""
    port = site.ports["smtp"]
    argv = [sys.executable, "-m", "lakehouse.sandbox.smtp_sink", "--port", str(port), "--dir", str(site.layout.mail)]
    env = {**base_environment(site.layout), "SMTP_PASSWORD": site.credentials.smtp}
    return _python("smtp", argv, env, port, site.credentials.smtp)


def moto_service(site: Site) -> Service:
    """Amazon's stand-in. Keeps everything in memory: what was in it is gone after a restart, but for the vendors' files
    (see `lakehouse.sandbox.vendor`)."""
    port = site.ports["moto"]
    argv = [sys.executable, "-m", "lakehouse.sandbox.aws_server", "--host", ports.HOST, "--port", str(port)]
    return _python("moto", argv, base_environment(site.layout), port)


def spark_service(site: Site) -> Service:
    """The Spark Connect server. The first start of a machine resolves its jars."""
    from lakehouse.spark.server import connect_command

    port, token = site.ports["spark"], site.credentials.spark
    access = aws_access(site)
    argv, env = connect_command(port, token, site.layout.spark, small_data=True, access=access)
    return Service(
        name="spark",
        argv=argv,
        env={key: value for key, value in env.items() if not key.startswith(FOREIGN)} | access.environment(),
        port=port,
        ready=lambda since: ports.answers(port),
        settings=f"{port} {token} {access.endpoint}",
        deadline=240.0,
    )


def kafka_service(site: Site) -> Service:
    """The Kafka broker. The first start of a machine resolves its jars."""
    port = site.ports["kafka"]
    argv = kafka.command(site.layout.kafka, port)
    return Service("kafka", argv, base_environment(site.layout), port, ready=lambda since: ports.answers(port))


def _python(name: str, argv: list[str], env: Mapping[str, str], port: int, settings: str = "") -> Service:
    return Service(name, argv, env, port, ready=lambda since: ports.answers(port), settings=settings)


#: The slow ones first: they start in this order, at once.
PLANS: Mapping[str, Callable[[Site], Service]] = {
    "postgres": postgres_service,
    "spark": spark_service,
    "snowflake": snowflake_service,
    "moto": moto_service,
    "web": web_service,
    "smtp": smtp_service,
    "kafka": kafka_service,
}

#: Those that are started only when asked for.
OPTIONAL = ("kafka",)
