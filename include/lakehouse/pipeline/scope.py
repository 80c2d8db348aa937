"""What of a candidate its gate has to look at, by what logs say of the version before and of the tables referred to.

See `quality.part` for why the rest is good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lakehouse import log
from lakehouse.config import settings
from lakehouse.contracts.model import Contract, Rule
from lakehouse.quality.part import confined, still_kept
from lakehouse.spark import gone
from lakehouse.sqltext import literal, quote
from lakehouse.transform.inputs import Input, feed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.delta import Branch, Diff, Statistics
    from lakehouse.quality.known import Part


def checked(inputs: Mapping[str, Input]) -> dict[str, list[str | int]]:
    """{table: [its id, its version]}, for the next gate, of the tables that one looked at.

    Of a candidate, the version that it was branched from: what it adds is among the changes since.
    """
    from lakehouse.delta import table_id

    found: dict[str, list[str | int]] = {}
    for name, source in inputs.items():
        # The first version of a table has the id of its branch.
        there = (source.published, source.base) if source.base >= 0 else (source.path, source.version)
        found[name] = [table_id(*there), source.base]
    return found


def scope(
    spark: SparkSession,
    contract: Contract,
    branch: Branch,
    change: Diff,
    told: Statistics | None,
    others: Mapping[str, Input],
) -> Part | None:
    """The part of the candidate on `branch` that can break a rule; None where all of it is looked at.

    That is so where nothing is known of the version before, and where what need not be read is less than
    `increments_from_bytes`: to find out what changed costs jobs of its own. `told` is what the candidate's files tell,
    and `others` are the tables referred to.
    """
    from lakehouse.delta import added_rows, commit_metadata, data_version, statistics

    if branch.mode != "clone" or branch.base_version < 0 or told is None or told.rows is None:
        return None
    spared = told.bytes - sum(content["size"] for content in change.added)
    if spared <= 0 or spared < settings().increments_from_bytes:
        return None
    version = data_version(branch.table_path, branch.base_version)
    said = (commit_metadata(branch.table_path, version) if version is not None else None) or {}
    kept = still_kept(contract, said.get("kept") or {})
    references = [rule for rule in contract.rules if rule.kind == "reference" and rule.name in kept]
    names = kept - _losing(spark, references, said.get("checked") or {}, others)
    if not names:
        return None
    path = added_rows(branch, change.added)
    added = statistics(path)
    assert added
    return confined(contract, names, path, told.rows, added)


def _losing(
    spark: SparkSession,
    references: Iterable[Rule],
    checked: Mapping[str, list[str | int]],
    others: Mapping[str, Input],
) -> set[str]:
    """Names of `references` to keys of which the other table has lost a row since it was checked, or may have."""
    from pyspark.errors import PySparkException

    losing: set[str] = set()
    asked: dict[tuple[str, str], list[Rule]] = {}
    for rule in references:
        table = rule.params["table"]
        if _is_another(others[table], checked.get(table)):
            losing.add(rule.name)
        else:
            asked.setdefault((table, rule.params["column"]), []).append(rule)
    queries: list[str] = []
    views: list[str] = []
    for number, (table, column) in enumerate(asked):
        for stretch in _changed(others[table], int(checked[table][1])):
            views.append(f"feed_{len(views)}")
            feed(spark, stretch).createOrReplaceTempView(views[-1])
            # By commit: what one brought another may have taken away, and it was there when it was referred to.
            more, key = "IF(_change_type IN ('insert', 'update_postimage'), 1, -1)", quote(column)
            queries.append(
                f"SELECT {literal(number)} AS number FROM (SELECT 1 FROM {views[-1]} WHERE {key} IS NOT NULL "
                f"GROUP BY {key}, _commit_version HAVING sum({more}) < 0 LIMIT 1)"
            )
    if not queries:
        return losing
    told = list(asked.values())
    try:
        found = {row["number"] for row in spark.sql(" UNION ALL ".join(queries)).collect()}
    except PySparkException as error:
        if gone(error):
            raise
        # Spark's message may quote values of rows.
        log.get().warning(
            "changes not readable", tables=sorted(table for table, _ in asked), error=type(error).__name__
        )
        found = set(range(len(told)))
    finally:
        for view in views:
            spark.catalog.dropTempView(view)
    return losing | {rule.name for number in found for rule in told[number]}


def _is_another(source: Input, before: list[str | int] | None) -> bool:
    """Whether a table is not the one that was looked at before, or its log does not tell what came since."""
    from lakehouse.delta import feed_problem

    if before is None:
        return True
    identity, version = before
    now = checked({source.table: source})[source.table]
    if now[0] != identity or source.base < int(version):
        return True
    return any(feed_problem(*stretch) for stretch in _changed(source, int(version)))


def _changed(source: Input, since: int) -> list[tuple[str, int, int]]:
    """The stretches of its feed after `since` in which rows changed."""
    from lakehouse.delta import changed_since

    return [stretch for stretch in source.feeds(since) if changed_since(stretch[0], stretch[1] - 1, stretch[2])]
