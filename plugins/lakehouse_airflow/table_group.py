"""One task group a table, wired by what each table's SQL reads: extract -> transform -> gate -> publish -> watermark.

Tables of a publish group are audited one by one and published by one task. Where the configuration names a catalog,
each table is registered in it after its publish.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from lakehouse.config import settings
from lakehouse_airflow.assets import asset
from lakehouse_airflow.operators import (
    DataQualityGateOperator,
    ExtractOperator,
    PublishOperator,
    RegisterCatalogOperator,
    SparkTransformOperator,
    StreamOperator,
    WatermarkUpdateOperator,
)

if TYPE_CHECKING:
    from lakehouse.manifest import Entry, Manifest

#: Slots on the Spark Connect server; airflow_settings.yaml says how many.
SPARK_POOL = "spark"


@dataclass
class _Wiring:
    groups: dict[str, TaskGroup] = field(default_factory=dict)
    gates: dict[str, Any] = field(default_factory=dict)
    publishes: dict[str, Any] = field(default_factory=dict)


def table_groups(manifest: Manifest) -> None:
    """Add every table of `manifest` to the DAG under construction."""
    wiring = _Wiring()
    for entry in manifest.entries:
        _add_table(entry, manifest, wiring)
        group = manifest.group_of(entry.name)
        if entry.publish_group and entry == group[-1]:
            publish = PublishOperator(
                task_id=f"publish_{entry.publish_group}",
                batches=[wiring.gates[member.name].output for member in group],
                outlets=[asset(member.name) for member in group],
            )
            wiring.publishes |= {member.name: publish for member in group}
    if settings().target:
        _register(wiring)


def transformer() -> Any:
    """The operator that transforms go by: what `spark.jobs` of the configuration says, else the Connect endpoint."""
    jobs = settings().jobs
    if jobs is None:
        return SparkTransformOperator
    # Here, for a provider's operators need not be imported by a DAG file that has none of them.
    if jobs.kind == "emr_serverless":
        from lakehouse_airflow.operators.emr import EmrTransformOperator

        return EmrTransformOperator
    from lakehouse_airflow.operators.submit import SubmitTransformOperator

    return SubmitTransformOperator


def _register(wiring: _Wiring) -> None:
    """Nobody in the lakehouse reads by the catalog, so nothing waits for this."""
    for name, publish in wiring.publishes.items():
        publish >> RegisterCatalogOperator(task_id="register_catalog", table=name, task_group=wiring.groups[name])


def _add_table(entry: Entry, manifest: Manifest, wiring: _Wiring) -> None:
    together = {member.name for member in manifest.group_of(entry.name)} - {entry.name}
    candidates = [wiring.gates[name].output for name in (*entry.reads, *entry.checks) if name in together]
    with TaskGroup(group_id=entry.name.replace(".", "_"), tooltip=entry.description) as wiring.groups[entry.name]:
        if entry.connection:
            extract = ExtractOperator(task_id="extract", table=entry.name, pool=entry.source_kind)
            if entry.streamed:
                stream = StreamOperator(
                    task_id="stream",
                    table=entry.name,
                    trigger="{{ params.trigger }}",
                    minutes="{{ params.minutes }}",
                    pool=SPARK_POOL,
                )
                stream >> extract
            transform = transformer()(task_id="transform", table=entry.name, batch=extract.output, pool=SPARK_POOL)
        else:
            transform = transformer()(task_id="transform", table=entry.name, candidates=candidates, pool=SPARK_POOL)
            [wiring.publishes[name] for name in entry.reads if name in wiring.publishes] >> transform
        gate = DataQualityGateOperator(
            task_id="dq_gate", table=entry.name, batch=transform.output, candidates=candidates, pool=SPARK_POOL
        )
        [wiring.publishes[name] for name in entry.checks if name in wiring.publishes] >> gate
        wiring.gates[entry.name] = gate
        if not entry.publish_group:
            publish = PublishOperator(task_id="publish", batches=[gate.output], outlets=[asset(entry.name)])
            wiring.publishes[entry.name] = publish
            if entry.connection:
                publish >> WatermarkUpdateOperator(task_id="advance_watermark", table=entry.name, batch=gate.output)
