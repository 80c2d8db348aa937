"""What a table should look like: columns, partitions, properties; and whether a table can grow into it.

Not for contracts: those are read by `lakehouse.contracts` and become a TableSpec.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lakehouse.delta import schema
from lakehouse.delta.features import Snapshot, UnknownFeature
from lakehouse.errors import LakehouseError

#: Legacy numbers, no table features: EMR's older Delta and delta-rs read and write it. Writer 4 is for the change feed.
PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 4}

DEFAULT_PROPERTIES = {"delta.enableChangeDataFeed": "true"}

#: Properties that need no table feature. A property of Delta's that is not here could raise the protocol.
_HARMLESS = (
    "delta.enableChangeDataFeed",
    "delta.appendOnly",
    "delta.checkpointInterval",
    "delta.dataSkipping",
    "delta.deletedFileRetentionDuration",
    "delta.logRetentionDuration",
    "delta.setTransactionRetentionDuration",
    "delta.targetFileSize",
    "delta.tuneFileSizesForRewrites",
    "delta.autoOptimize.",
    "delta.randomizeFilePrefixes",
)


class SchemaChanged(LakehouseError):
    """A published table cannot become what is asked by adding nullable columns."""


@dataclass(frozen=True)
class ColumnSpec:
    """One column; `type` as Spark SQL spells it, such as DECIMAL(18,2) or ARRAY<STRING>."""

    name: str
    type: str
    nullable: bool = True
    comment: str = ""


@dataclass(frozen=True)
class TableSpec:
    """A table as it should be."""

    columns: tuple[ColumnSpec, ...]
    partition_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_PROPERTIES))

    def __post_init__(self) -> None:
        """Refuse a partition column that is none, and a property that needs a table feature."""
        names = [c.name for c in self.columns]
        for name in self.partition_by:
            if name not in names:
                raise SchemaChanged(f"Partition column '{name}' is not a column.", f"Name one of {', '.join(names)}.")
        for name in self.properties:
            if name.startswith("delta.") and not name.startswith(_HARMLESS):
                raise UnknownFeature(f"Table property '{name}' may need a table feature.", "Leave it out.")

    def fields(self) -> list[dict[str, Any]]:
        """The columns in Delta's JSON. Raises TypeUnknown."""
        return [schema.field(c.name, schema.to_delta(c.type), c.nullable, c.comment) for c in self.columns]


def metadata(
    fields: list[dict[str, Any]], partition_by: tuple[str, ...], properties: Mapping[str, str]
) -> dict[str, Any]:
    """A metaData action's content for a new table, with an id of its own."""
    return {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": list(partition_by),
        "configuration": dict(properties),
        "createdTime": int(time.time() * 1000),
    }


def checksum(protocol: Mapping[str, Any], told: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> bytes:
    """Delta's checksum file of a version with these `files`: what a reader would otherwise replay the log for.

    In: contents of the actions in force.
    """
    size = sum(int(file["size"]) for file in files)
    numbers = {"tableSizeBytes": size, "numFiles": len(files), "numMetadata": 1, "numProtocol": 1}
    lists: dict[str, list[Any]] = {"setTransactions": [], "domainMetadata": [], "allFiles": list(files)}
    return json.dumps({**numbers, **lists, "metadata": told, "protocol": protocol}).encode()


def grown(base: Snapshot, fields: list[dict[str, Any]], partition_by: tuple[str, ...]) -> list[dict[str, Any]]:
    """The columns of `base` followed by those of `fields` that it lacks.

    Raises SchemaChanged, naming the column, for anything but added nullable columns. Comments are not compared, nor
    is the order of columns.
    """
    if tuple(base.partition_by) != tuple(partition_by):
        old, new = (", ".join(columns) or "nothing" for columns in (base.partition_by, partition_by))
        raise SchemaChanged(f"{base.path} is partitioned by {old}, not by {new}.", _REBUILD)
    wanted = {f["name"]: f for f in fields}
    for there in base.fields:
        name = there["name"]
        new_field = wanted.pop(name, None)
        if new_field is None:
            raise SchemaChanged(f"{base.path}: column '{name}' is published and no longer asked for.", _KEEP)
        old_shape, new_shape = schema.shape(there["type"]), schema.shape(new_field["type"])
        if old_shape != new_shape:
            kinds = f"is {schema.to_sql(there['type'])}, not {schema.to_sql(new_field['type'])}"
            raise SchemaChanged(f"{base.path}: column '{name}' {kinds}.", _REBUILD)
        if there["nullable"] != new_field["nullable"]:
            kinds = "nullable" if there["nullable"] else "required"
            raise SchemaChanged(f"{base.path}: column '{name}' is {kinds} in the published table.", _REBUILD)
    for name, added in wanted.items():
        if not added["nullable"]:
            raise SchemaChanged(
                f"{base.path}: new column '{name}' is required, but rows are there already.", f"Make '{name}' nullable."
            )
    return [*base.fields, *wanted.values()]


_REBUILD = "Give the column another name, or publish the change as a new table."
_KEEP = "Keep the column in the contract; it may stay empty."
