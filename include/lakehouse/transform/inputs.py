"""Inputs of a transform: each at one version, or as the candidate on a branch of the same publish group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.errors import LakehouseError
from lakehouse.pipeline.batch import Batch
from lakehouse.sqltext import timestamp

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.delta import Branch


class InputMissing(LakehouseError):
    """A table that a transform reads does not exist yet."""


@dataclass(frozen=True)
class Input:
    """`table` at `version` under `path`; `consumed` is the version that will be on record as read."""

    table: str
    path: str
    version: int
    consumed: int
    #: Of a candidate: the branch that holds it.
    branch: Branch | None = None
    #: Of a bronze table: rows that were ingested later count as not there.
    until: datetime | None = None

    @property
    def published(self) -> str:
        """Path of the table as published, the branch's own aside."""
        return self.branch.table_path if self.branch else self.path

    @property
    def base(self) -> int:
        """The published version that it is, or was branched from; -1 where there was none."""
        return self.branch.base_version if self.branch else self.version

    def feeds(self, since: int) -> list[tuple[str, int, int]]:
        """Stretches of change feed from the version after `since`: (path, first, last).

        None where nothing came, or `since` is beyond the table.
        """
        stretches = [(self.published, since + 1, self.base)]
        if self.branch:
            stretches.append((self.branch.path, self.branch.start + 1, self.version))
        return [stretch for stretch in stretches if stretch[1] <= stretch[2]]

    def frame(self, spark: SparkSession) -> DataFrame:
        """The input as a frame, pinned."""
        frame = spark.read.format("delta").option("versionAsOf", self.version).load(self.path)
        if self.branch and self.branch.mode == "append" and self.branch.base_version >= 0:
            # Such a branch holds the new rows alone.
            before = spark.read.format("delta").option("versionAsOf", self.branch.base_version).load(self.published)
            frame = before.unionByName(frame, allowMissingColumns=True)
        return frame.where(f"_ingest_ts <= {timestamp(self.until)}") if self.until else frame


def feed(spark: SparkSession, stretch: tuple[str, int, int]) -> DataFrame:
    """The changed rows of one stretch of `Input.feeds`, before and after; `_change_type` and the like beside them."""
    path, low, high = stretch
    reader = spark.read.format("delta").option("readChangeFeed", "true")
    return reader.option("startingVersion", low).option("endingVersion", high).load(path)


def resolve(
    reader: str, tables: tuple[str, ...], candidates: dict[str, Batch], as_of: datetime | None = None
) -> dict[str, Input]:
    """Where `reader` finds each of `tables`: the candidate if there is one, else as published.

    With `as_of`, rows of bronze that were ingested later are left out, and are not on record as read: whoever computes
    next finds them among the changes. Raises InputMissing for a table that was never published.
    """
    from lakehouse.delta import Branch, latest_version, version_at

    found = {}
    for table in tables:
        candidate = candidates.get(table)
        if candidate and not candidate.empty:
            branch = Branch.from_json(candidate.branch)
            found[table] = Input(table, branch.path, latest_version(branch.path), branch.base_version + 1, branch)
            continue
        version = latest_version(paths.table(table))
        if version < 0:
            raise InputMissing(
                f"{reader} reads {table}, which was never published.",
                f"Run it first: `lakehouse run +{reader} --start ... --end ...`, or see why its task failed.",
            )
        path = paths.table(table)
        if as_of and table.startswith("bronze."):
            found[table] = Input(table, path, version, version_at(path, as_of), until=as_of)
        else:
            found[table] = Input(table, path, version, version)
    return found


def register(spark: SparkSession, inputs: Mapping[str, Input]) -> dict[str, str]:
    """A temporary view per input; {layer.table: view name}."""
    views = {}
    for table, source in inputs.items():
        view = table.replace(".", "__")
        source.frame(spark).createOrReplaceTempView(view)
        views[table] = view
    return views
