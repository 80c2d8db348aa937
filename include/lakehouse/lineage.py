"""Lineage declared from contracts and SQL: what every step reads and writes, as (namespace, name) pairs.

The Spark listener misses inputs of a MERGE from a sub-query; what the SQL says is complete. Plain values: the
Airflow plugin turns them into OpenLineage events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lakehouse import paths
from lakehouse.config import settings
from lakehouse.contracts.model import Contract


@dataclass(frozen=True)
class Dataset:
    """A data set by OpenLineage's naming: `namespace` is the system, `name` the thing in it."""

    namespace: str
    name: str
    #: (column, Spark SQL type), where the contract gives them.
    columns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class StepLineage:
    """Inputs and outputs of one step."""

    inputs: list[Dataset] = field(default_factory=list)
    outputs: list[Dataset] = field(default_factory=list)


def table(name: str, contract: Contract | None = None) -> Dataset:
    """A table of the lake."""
    return _lying(paths.table(name), tuple((c.name, c.type) for c in contract.columns) if contract else ())


def _lying(path: str, columns: tuple[tuple[str, str], ...] = ()) -> Dataset:
    """What lies at `path`, under its disk or bucket."""
    scheme, _, rest = path.partition("://")
    if not rest:
        return Dataset("file", path, columns)
    bucket, _, key = rest.partition("/")
    return Dataset(f"{scheme}://{bucket}", key, columns)


def landing(name: str) -> Dataset:
    """The landing files of a table."""
    layer, _, short = name.partition(".")
    return _lying(f"{paths.lake()}/_landing/{layer}/{short}")


def records(name: str) -> Dataset:
    """The landing table of a table's stream."""
    return _lying(paths.records(name))


def source(contract: Contract) -> list[Dataset]:
    """The source's own table, under its connection's name (hosts and accounts stay out of lineage)."""
    if contract.source is None:
        return []
    return [Dataset(f"{contract.source.kind}://{contract.source.connection}", contract.source.object)]


def warehouse(contract: Contract) -> Dataset:
    """The table in the warehouse, under its connection's name."""
    told = settings().warehouse
    schema = told.schema_name.format(layer=contract.layer).upper()
    columns = tuple((c.name.upper(), c.type) for c in contract.columns)
    return Dataset(f"snowflake://{told.connection}", f"{schema}.{contract.table.upper()}", columns)


def of_step(step: str, contract: Contract) -> StepLineage:
    """Lineage of a `step`: stream, extract, transform, dq_gate, publish, register_catalog, warehouse,
    advance_watermark."""
    from lakehouse.transform.sql import parse_transform

    this = table(contract.name, contract)
    if step == "stream":
        return StepLineage(source(contract), [records(contract.name)])
    if step == "extract" and contract.source and contract.source.streamed:
        return StepLineage([records(contract.name)], [landing(contract.name)])
    if step == "extract":
        return StepLineage(source(contract), [landing(contract.name)])
    if step == "transform" and contract.source:
        return StepLineage([landing(contract.name)], [this, ops("quarantine")])
    if step == "transform":
        return StepLineage([table(name) for name in parse_transform(Path(contract.path).parent).reads], [this])
    if step == "warehouse":
        return StepLineage([this], [warehouse(contract)])
    if step == "dq_gate":
        return StepLineage([this], [ops("quality")])
    if step == "register_catalog":
        return StepLineage([this], [])
    if step == "publish":
        return StepLineage([this], [this, ops("ledger")])
    key = contract.source.watermark_key if contract.source else contract.name
    return StepLineage([ops("ledger")], [Dataset("lakehouse://watermarks", key)])


def ops(name: str) -> Dataset:
    """An operational table."""
    return Dataset("file", paths.ops(name))
