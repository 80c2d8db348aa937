"""OPTIMIZE of one table: small files become large ones, rows ordered by columns, on a branch; then a fast-forward.

The commit changes no row (`dataChange` is false), so loads that only add rows go on top of it, and it on top of them.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakehouse import log, paths
from lakehouse.bronze.form import FORM
from lakehouse.contracts.layout import TARGET
from lakehouse.errors import LakehouseError
from lakehouse.maintenance.due import APPLICATION, Due, Partition, due
from lakehouse.maintenance.sizes import Sizes, sizes

#: How often it begins again where somebody rewrote the same files meanwhile.
ATTEMPTS = 3

#: Of the session: files are filled up to the target, and only what is smaller is taken up again.
CONF = ("spark.databricks.delta.optimize.minFileSize", "spark.databricks.delta.optimize.maxFileSize")


class ColumnUnknown(LakehouseError):
    """A column to order by that the table lacks, or that partitions it."""


@dataclass(frozen=True)
class Optimized:
    """What was done to one table."""

    #: optimized; unchanged: nothing was due; absent: no table; planned: a rehearsal found work.
    state: str
    #: Version afterwards, -1 where there is no table.
    version: int
    before: Sizes
    after: Sizes
    partitions: int
    #: Partitions in which nothing was to be done.
    skipped: int


def optimize(name: str, zorder: Sequence[str], *, target: int = TARGET, dry_run: bool = False) -> Optimized:
    """Optimize the table `layer.table` into files of `target` bytes, by `zorder` where columns are given.

    No Spark where nothing is due.

    Raises ColumnUnknown, PublishConflict when somebody keeps rewriting the same files, SparkUnavailable.
    """
    from lakehouse.delta import PublishConflict

    path = paths.table(name)
    attempt = 1
    while True:
        found = due(path, zorder, target)
        skipped = found.partitions - len(found.due)
        _check(name, path, found, zorder)
        if not found.due or dry_run:
            state = "absent" if found.version < 0 else "planned" if found.due else "unchanged"
            return Optimized(state, found.version, found.before, found.before, found.partitions, skipped)
        try:
            version = _rewrite(name, path, found, zorder, target)
        except PublishConflict:
            log.get().warning("optimize conflict", table=name, attempt=attempt)
            if attempt == ATTEMPTS:
                raise
            attempt += 1
        else:
            after = _after(path, version)
            return Optimized("optimized", version, found.before, after, found.partitions, skipped)


def _rewrite(name: str, path: str, found: Due, zorder: Sequence[str], target: int) -> int:
    """Work on a branch and publish it; the version."""
    from uuid import uuid4

    from lakehouse.delta import TableSpec, diff, drop_branch, fast_forward, open_branch, schema_columns, table_sql
    from lakehouse.spark import connected

    spec = TableSpec(schema_columns(path), found.partition_by, {})
    branch = open_branch(path, paths.branch(name, f"optimize-{found.version}", uuid4().hex[:12]), spec, "clone")
    try:
        with connected(f"{name} optimize") as spark:
            form = FORM if name.startswith("bronze.") else {}
            for key, value in {**dict.fromkeys(CONF, str(target)), **form}.items():
                spark.conf.set(key, value)
            spark.sql(statement(table_sql(branch.path), found.partition_by, found.due, zorder)).collect()
        told = {APPLICATION: list(zorder), "by": getpass.getuser()}
        change = diff(branch)
        done = fast_forward(branch, APPLICATION, found.version + 1, told, expected=change.fingerprint)
        counts = {"added": done.files_added, "removed": done.files_removed}
        log.get().info("optimized", table=name, version=done.version, **counts)
        return done.version
    finally:
        drop_branch(branch)


def statement(table: str, partition_by: Sequence[str], chosen: Sequence[Partition], zorder: Sequence[str]) -> str:
    """OPTIMIZE in Spark SQL, of the `chosen` partitions. Its grammar takes no parameters: values are quoted."""
    from sqlglot import exp

    text = f"OPTIMIZE {table}"
    if partition_by:
        alternatives = []
        for values in chosen:
            tests: list[Any] = []
            for column, value in zip(partition_by, values, strict=True):
                name = exp.column(exp.to_identifier(column, quoted=True))
                null = exp.Is(this=name, expression=exp.Null())
                tests.append(null if value is None else exp.EQ(this=name, expression=exp.Literal.string(value)))
            alternatives.append(exp.and_(*tests))
        text += f" WHERE {exp.or_(*alternatives).sql(dialect='spark')}"
    if zorder:
        names = ", ".join(exp.to_identifier(column, quoted=True).sql(dialect="spark") for column in zorder)
        text += f" ZORDER BY ({names})"
    return text


def _check(name: str, path: str, found: Due, zorder: Sequence[str]) -> None:
    from lakehouse.delta import schema_columns

    if found.version < 0 or not zorder:
        return
    known = [column.name for column in schema_columns(path) if column.name not in found.partition_by]
    for column in zorder:
        if column not in known:
            raise ColumnUnknown(f"{name} cannot be ordered by '{column}'.", f"Name some of: {', '.join(known)}.")


def _after(path: str, version: int) -> Sizes:
    from lakehouse.delta.replay import active_files

    return sizes(active_files(path, version))
