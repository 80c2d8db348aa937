"""How a package's job is started: settings and arguments for spark-submit and for EMR Serverless, from one manifest.

Not for starting it. No secret is in what this makes: keys reach Spark by the environment, or by the machine's role.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lakehouse.errors import LakehouseError
from lakehouse.jobs.order import Order
from lakehouse.jobs.package import FORMAT

#: What EMR Serverless takes at most: characters of an argument, properties of a classification.
EMR_ARGUMENT, EMR_PROPERTIES = 10280, 100
#: Settings of an environment that make a key of it visible to whoever sees a job.
SECRETS = ("fs.s3a.access.key", "fs.s3a.secret.key", "fs.s3a.session.token", "password", "secret", "token")


class SubmitRefused(LakehouseError):
    """A job that cannot be started as it is asked for."""


@dataclass(frozen=True)
class Placed:
    """A package where a cluster finds it: paths of archive and entry script, and what the manifest says."""

    archive: str
    entry: str
    jars: tuple[str, ...]
    jars_left_out: tuple[str, ...]
    conf: Mapping[str, str] = field(default_factory=dict)


def placed(manifest: str) -> Placed:
    """The package whose manifest lies at `manifest`, on disk or S3. Raises SubmitRefused where it cannot be used."""
    from lakehouse.delta import store

    try:
        told = json.loads(store.read(store.canonical(manifest)))
    except FileNotFoundError:
        raise SubmitRefused(f"There is no package {manifest}.", "Make it: `lakehouse package --upload`.") from None
    except ValueError:
        raise SubmitRefused(f"{manifest} is no manifest.", "Name the .json that `lakehouse package` wrote.") from None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise SubmitRefused(f"{manifest} is of another release.", "Make the package anew: `lakehouse package`.")
    folder = manifest.rpartition("/")[0]
    archive, entry = (f"{folder}/{told[part]}" for part in ("archive", "entry"))
    return Placed(archive, entry, tuple(told["jars"]), tuple(told["jars_left_out"]), told["conf"])


def spark_settings(package: Placed, more: Mapping[str, str]) -> dict[str, str]:
    """Spark settings of a job: the package's, its jars by coordinates unless `more` says `spark.jars`, then `more`.

    Raises SubmitRefused for a setting that holds a secret: everybody who sees a job sees its settings.
    """
    for name in more:
        if any(name.lower().endswith(secret) for secret in SECRETS):
            raise SubmitRefused(f"The Spark setting {name} holds a secret.", "Leave it out: use roles or environment.")
    jars = {}
    if "spark.jars" not in more:
        jars = {"spark.jars.packages": ",".join(package.jars), "spark.jars.excludes": ",".join(package.jars_left_out)}
    return {**package.conf, **jars, **more}


def spark_submit(package: Placed, order: Order, master: str, more: Mapping[str, str]) -> list[str]:
    """Arguments of spark-submit, the program itself left out. The driver runs where it is called (client mode)."""
    told = ["--master", master, "--deploy-mode", "client", "--py-files", package.archive, "--name", name(order)]
    for key, value in sorted(spark_settings(package, more).items()):
        told += ["--conf", f"{key}={value}"]
    return [*told, package.entry, *order.arguments()]


def emr_job_driver(package: Placed, order: Order) -> dict[str, Any]:
    """`jobDriver` of EMR Serverless. Raises SubmitRefused for too long an argument, a package that is not on S3."""
    for path in (package.archive, package.entry):
        if not path.startswith(("s3://", "s3a://")):
            raise SubmitRefused(
                f"EMR Serverless cannot read {path}.", "Upload the package: `lakehouse package --upload`."
            )
    archive, entry = (path.replace("s3a://", "s3://", 1) for path in (package.archive, package.entry))
    arguments = order.arguments()
    long = [argument for argument in arguments if len(argument) > EMR_ARGUMENT]
    if long:
        raise SubmitRefused(
            f"An argument of {name(order)} has more than {EMR_ARGUMENT} characters.", "Order fewer tables at once."
        )
    return {
        "sparkSubmit": {
            "entryPoint": entry,
            "entryPointArguments": arguments,
            "sparkSubmitParameters": f"--py-files {archive}",
        }
    }


def emr_overrides(package: Placed, logs: str, more: Mapping[str, str]) -> dict[str, Any]:
    """`configurationOverrides`: Spark's settings, and its logs to `logs`, an s3:// prefix."""
    properties = spark_settings(package, more)
    if len(properties) > EMR_PROPERTIES:
        raise SubmitRefused(f"EMR takes {EMR_PROPERTIES} settings, not {len(properties)}.", "Set fewer of them.")
    return {
        "applicationConfiguration": [{"classification": "spark-defaults", "properties": properties}],
        "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": logs}},
    }


def name(order: Order) -> str:
    """What a job is called where people see it: the tables, and the day of the run."""
    return f"{' '.join(order.tables)} {order.run.run_date}"[:256]
