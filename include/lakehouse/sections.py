"""Sections of a configuration that have a shape of their own: `aws`, `metrics`, `spark.jobs`. Plain values, no client.

Without `aws` nothing is made in AWS, and no task registers tables; without `metrics` nothing is measured.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Owners begin the names of what they own; database names take no other characters.
Owner = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]


class Strict(BaseModel):
    """Frozen, and a key that is not known is an error: a misspelt setting must not be a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reader(Strict):
    """Who may read columns, and of which classifications."""

    #: ARN of an IAM role, user or group.
    principal: Annotated[str, Field(pattern=r"^arn:\S+$")]
    #: Classifications as the contracts write them, and the default one.
    sees: tuple[str, ...]


class Access(Strict):
    """Lake Formation: the LF-tag that columns carry, and who is granted which of its values."""

    #: The tag's key is <owner>:<tag>.
    tag: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "classification"
    #: Value of contract columns without a classification.
    default: str = "internal"
    #: Value of everything that no contract speaks of: columns that a source grew, `_extra`. Nobody should see it.
    unknown: str = "unreviewed"
    readers: tuple[Reader, ...] = ()


class Alarms(Strict):
    """CloudWatch alarms, and the SNS topic that they are told to."""

    #: Name of a topic to be made, <owner>-<topic>; or the ARN of one that is there.
    topic: str = "alarms"
    #: KMS key that encrypts a topic to be made; CloudWatch must be allowed to use it.
    topic_key: str = ""
    #: Addresses that get a mail; each must confirm once.
    mail: tuple[str, ...] = ()
    #: Seconds from the first attempt to the publish, where a contract has no `latency` of its own.
    latency_seconds: Annotated[int, Field(gt=0)] = 7200
    #: Seconds that a watermark may be behind.
    watermark_lag_seconds: Annotated[int, Field(ge=60)] = 100800
    #: Part of a contract's quarantineThreshold from which quarantine is worth a look; at all of it the load fails.
    quarantine_share_of_threshold: Annotated[float, Field(gt=0, le=1)] = 0.5


class SubmitJobs(Strict):
    """Transforms are submitted by spark-submit, to the master that an Airflow connection of type `spark` names."""

    kind: Literal["spark_submit"]
    #: The manifest of a package, on disk or S3.
    package: str
    connection: str = "spark_default"
    #: Further settings of Spark.
    conf: dict[str, str] = {}


class EmrJobs(Strict):
    """Transforms are jobs of an EMR Serverless application, reached by the connection `aws_default`."""

    kind: Literal["emr_serverless"]
    #: The manifest of a package, on S3.
    package: Annotated[str, Field(pattern=r"^s3a?://[^/]+/.+\.json$")]
    #: Id of the application, as infra/compute.yaml puts it out.
    application: Annotated[str, Field(pattern=r"^[0-9a-z]{1,64}$")]
    #: ARN of the role that jobs run as.
    role: Annotated[str, Field(pattern=r"^arn:\S+:role/\S+$")]
    #: s3:// prefix of the drivers' and executors' logs.
    logs: Annotated[str, Field(pattern=r"^s3://[^/]+/.*$")]
    #: Seconds between two questions how a job stands, and how often it is asked; then it is cancelled.
    poll_seconds: Annotated[int, Field(ge=1)] = 20
    polls: Annotated[int, Field(ge=1)] = 180
    conf: dict[str, str] = {}


#: What `spark.jobs.kind` may be.
JOBS: dict[str, type[SubmitJobs] | type[EmrJobs]] = {"spark_submit": SubmitJobs, "emr_serverless": EmrJobs}


class Target(Strict):
    """The account that the lakehouse is in, as far as contracts decide what is there."""

    #: Value of the owner tag: what carries it is ours, all else is left alone.
    owner: Owner
    #: Name of a Glue database, by layer.
    database: Annotated[str, Field(pattern=r"^[a-z0-9_]*\{layer\}[a-z0-9_]*$")] = "lakehouse_{layer}"
    access: Access | None = None
    alarms: Alarms | None = None


class WarehouseSettings(Strict):
    """Where published tables go, beside the lake."""

    #: Airflow connection of type snowflake; its database, warehouse and role are used.
    connection: str = "snowflake_default"
    #: Name of the schema, by layer.
    schema_name: Annotated[str, Field(alias="schema", pattern=r"^\w*\{layer\}\w*$")] = "LAKEHOUSE_{layer}"
    #: Seconds that another transaction on the same table is waited for.
    lock_timeout_seconds: Annotated[int, Field(ge=1, le=43200)] = 900


class SinkSettings(Strict):
    """One place that metrics go to."""

    kind: Literal["jsonl", "prometheus", "cloudwatch"]
    #: File of jsonl and prometheus.
    path: str = ""


class Price(Strict):
    """What Spark runs on, and what that costs. Zero: nothing is priced."""

    vcpus: Annotated[float, Field(ge=0)] = 0
    memory_gb: Annotated[float, Field(ge=0)] = 0
    #: US dollars.
    vcpu_hour_usd: Annotated[float, Field(ge=0)] = 0
    gb_hour_usd: Annotated[float, Field(ge=0)] = 0

    def usd(self, seconds: float) -> float:
        """US dollars for `seconds` of all of it."""
        return seconds / 3600 * (self.vcpus * self.vcpu_hour_usd + self.memory_gb * self.gb_hour_usd)


class MetricsSettings(Strict):
    """Where metrics go, under which name, and the price of Spark."""

    #: CloudWatch's namespace, and what the names of Prometheus begin with.
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")] = "Lakehouse"
    sinks: tuple[SinkSettings, ...] = ()
    price: Price = Price()
