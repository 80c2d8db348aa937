"""What a published table is at one version, and the refusal of everything this engine does not know.

A fast-forward copies actions it did not write. What it does not understand it must not copy: a deletion vector whose
path is not rewritten brings deleted rows back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lakehouse.delta import schema, store
from lakehouse.delta.log import LogIncomplete
from lakehouse.errors import LakehouseError

#: Highest protocol numbers without table features.
NEWEST_READER, NEWEST_WRITER = 2, 6

_REMEDY = "Turn the feature off for this table (or rewrite the table without it), then publish again."

#: Properties that turn a feature on.
_SWITCHES = {
    "delta.enableDeletionVectors": "deletion vectors",
    "delta.enableRowTracking": "row tracking",
    "delta.enableInCommitTimestamps": "in-commit timestamps",
    "delta.enableTypeWidening": "type widening",
}
#: Keys of a column's metadata, or how they begin.
_COLUMNS = {
    "delta.generationExpression": "is generated",
    "delta.identity.": "is an identity column",
    "delta.invariants": "has an invariant",
    "delta.columnMapping.": "uses column mapping",
}

_KNOWN_KEYS = {
    "add": {"path", "partitionValues", "size", "modificationTime", "dataChange", "stats", "tags"},
    "remove": {
        *(
            "path",
            "partitionValues",
            "size",
            "deletionTimestamp",
            "dataChange",
            "extendedFileMetadata",
            "stats",
            "tags",
        ),
    },
    "cdc": {"path", "partitionValues", "size", "dataChange", "tags"},
    "txn": {"appId", "version", "lastUpdated"},
    "protocol": {"minReaderVersion", "minWriterVersion"},
    "metaData": {
        *("id", "name", "description", "format", "schemaString", "partitionColumns", "configuration", "createdTime"),
    },
}


class UnknownFeature(LakehouseError):
    """A table feature or log action that cannot be published faithfully."""


@dataclass(frozen=True)
class Snapshot:
    """A published table's schema and settings at one version; not its files."""

    path: str
    version: int
    id: str
    name: str | None
    description: str | None
    created: int
    #: Columns in Delta's JSON.
    fields: list[dict[str, Any]]
    partition_by: tuple[str, ...]
    properties: dict[str, str]
    protocol: dict[str, int]

    @property
    def change_feed(self) -> bool:
        """Whether the table records row changes."""
        return self.properties.get("delta.enableChangeDataFeed", "").lower() == "true"

    def columns(self) -> list[tuple[str, str]]:
        """Name and Spark SQL type of every column. Raises TypeUnknown."""
        return [(f["name"], schema.to_sql(f["type"])) for f in self.fields]


def snapshot(path: str, version: int) -> Snapshot:
    """The table at `path` as of `version`.

    Raises UnknownFeature for one that uses what this engine does not know, LogIncomplete where the log has a hole.
    """
    from deltalake.exceptions import DeltaError

    try:
        table = store.delta_table(path, version)
    except DeltaError as error:
        raise LogIncomplete(
            f"{path}: delta-rs cannot read version {version}: {str(error).partition(': ParsedLogPath')[0]}",
            "Restore the log's files, or look at the latest version.",
        ) from error
    told, protocol = table.metadata(), table.protocol()
    numbers = {"minReaderVersion": protocol.min_reader_version, "minWriterVersion": protocol.min_writer_version}
    features = {*(protocol.reader_features or ()), *(protocol.writer_features or ())}
    check_protocol(path, {**numbers, "writerFeatures": sorted(features)} if features else numbers)
    check_properties(path, told.configuration)
    fields = json.loads(table.schema().to_json())["fields"]
    check_fields(path, fields)
    return Snapshot(
        path=path,
        version=version,
        id=str(told.id),
        name=told.name,
        description=told.description,
        created=int(told.created_time or 0),
        fields=fields,
        partition_by=tuple(told.partition_columns),
        properties=dict(told.configuration),
        protocol=numbers,
    )


def check_protocol(path: str, protocol: dict[str, Any]) -> None:
    """Raise UnknownFeature unless `protocol` is one of the legacy versions without table features."""
    features = [*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())]
    reader, writer = int(protocol["minReaderVersion"]), int(protocol["minWriterVersion"])
    if features:
        raise UnknownFeature(f"{path} uses the table features {', '.join(sorted(set(features)))}.", _REMEDY)
    if reader > NEWEST_READER or writer > NEWEST_WRITER:
        raise UnknownFeature(f"{path} needs protocol {reader}/{writer} (reader/writer).", _REMEDY)


def check_properties(path: str, properties: dict[str, str]) -> None:
    """Raise UnknownFeature for a property that changes how files are named or read, or what rows may hold."""
    if properties.get("delta.columnMapping.mode", "none") != "none":
        raise UnknownFeature(f"{path} uses column mapping.", _REMEDY)
    if properties.get("delta.checkpointPolicy", "classic") != "classic":
        raise UnknownFeature(f"{path} uses v2 checkpoints.", _REMEDY)
    for name, feature in _SWITCHES.items():
        if properties.get(name, "false").lower() == "true":
            raise UnknownFeature(f"{path} uses {feature}.", _REMEDY)
    for name in properties:
        if name.startswith("delta.constraints."):
            raise UnknownFeature(f"{path} has the check constraint '{name.rpartition('.')[2]}'.", _REMEDY)


def check_fields(path: str, fields: list[dict[str, Any]]) -> None:
    """Raise UnknownFeature for a column that is computed, numbered or checked by whoever writes."""
    for field in fields:
        for key, feature in _COLUMNS.items():
            if any(name.startswith(key) for name in field.get("metadata") or {}):
                raise UnknownFeature(f"{path}: column '{field['name']}' {feature}.", _REMEDY)


def check_action(path: str, kind: str, content: dict[str, Any]) -> None:
    """Raise UnknownFeature for an action, or a part of one, that this engine does not know."""
    known = _KNOWN_KEYS.get(kind)
    if known is None:
        raise UnknownFeature(f"{path} holds the log action '{kind}'.", _REMEDY)
    if kind == "protocol":
        check_protocol(path, content)
    for key, value in content.items():
        if key not in known and value is not None:
            raise UnknownFeature(f"{path} uses '{key}' on the log action '{kind}'.", _REMEDY)
    if kind == "metaData":
        check_properties(path, content.get("configuration") or {})
        check_fields(path, json.loads(content["schemaString"])["fields"])
