"""The gate step: the contract's suite over the table exactly as it would be. A critical failure holds the batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lakehouse import ledger, log, metrics, paths
from lakehouse.clock import now
from lakehouse.contracts.model import Contract
from lakehouse.ingest.figures import figures
from lakehouse.killpoints import reach
from lakehouse.metrics.measures import gated
from lakehouse.pipeline.batch import Batch
from lakehouse.pipeline.events import event_of
from lakehouse.pipeline.scope import checked, scope
from lakehouse.sqltext import quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakehouse.delta import Branch
    from lakehouse.quality import GateResult
    from lakehouse.quality.known import Known

#: Hears what a gate found in a batch that goes on.
Tell = Callable[[Contract, Batch, "GateResult"], object]


def gate(
    contract: Contract,
    batch: Batch,
    candidates: Mapping[str, Batch] | None = None,
    tell: Tell = lambda contract, batch, result: None,
) -> Batch:
    """Audit `batch`. Raises GateFailed after a critical failure; nothing is published then (DQ-2).

    `tell` hears what was found in a batch that goes on, once it is on record. Where somebody overrode the gate for
    this very candidate it does go on, and says by which override. An empty batch changes nothing: there is nothing to
    audit in it but what the source says it gave, and, where a scheduled load got no row at all, whether that is usual.
    """
    from lakehouse.delta import Branch, diff, statistics
    from lakehouse.quality import GateFailed, check, docs, record
    from lakehouse.quality.keys import with_keys
    from lakehouse.quality.part import kept
    from lakehouse.quality.statistics import with_statistics
    from lakehouse.spark import connected
    from lakehouse.transform.inputs import resolve

    with log.bound(batch, "dq_gate"):
        known = _known(contract, batch)
        if batch.empty:
            silent = batch.run.kind == "scheduled" and batch.windows and not batch.counts.get("extracted")
            asked = {*known.figures, *(known.usual if silent else ())}
            contract = replace(contract, rules=tuple(r for r in contract.rules if r.name in asked))
            if not contract.rules:
                log.get().info("nothing to audit")
                return batch
        branch = None if batch.empty else Branch.from_json(batch.branch)
        inputs = resolve(contract.name, _others(contract), dict(candidates or {}))
        fingerprint = ""
        began = time.monotonic()
        with connected(f"{contract.name} dq_gate") as spark:
            if branch:
                change, told = diff(branch), statistics(branch.path)
                fingerprint = change.fingerprint
                part = scope(spark, contract, branch, change, told, inputs)
                known = replace(with_statistics(known, contract, told), part=part)
                known = with_keys(known, contract, branch.path, told)
            audited = _candidate(spark, contract, branch)

            def frame(table: str) -> DataFrame:
                return inputs[table].frame(spark)

            result = check(contract, audited, frame, batch_id=batch.batch_id, run_id=batch.run.run_id, known=known)
        # What finding out the part took is the gate's, too.
        seconds = round(time.monotonic() - began, 3)
        result = _overridden(replace(result, candidate=fingerprint, seconds=seconds))
        reach("gate.audited")
        # On record and in Data Docs, whatever becomes of the batch.
        record(result, checked_ts=now())
        docs.write(contract, result, batch.attempt)
        reach("gate.recorded")
        metrics.emit(partial(gated, result))
        failed = [r.rule for r in result.failures]
        passed = result.passed or bool(result.override)
        log.get().info(
            "audited",
            passed=passed,
            failed_rules=failed,
            override=result.override,
            seconds=result.seconds,
            rules_of_new_files_alone=len(known.part.rules) if known.part else 0,
        )
        if not passed:
            ledger.append(event_of(batch, "held", detail=", ".join(failed)))
            raise GateFailed(result, paths.table(contract.name))
        tell(contract, batch, result)
        batch = replace(batch, audited=fingerprint, override=result.override, checked=checked(inputs))
        if branch and branch.mode == "clone":
            # An append is judged by itself: its gate says nothing of the rows before.
            batch = replace(batch, kept=kept(contract, result))
        return batch.held_spark(result.seconds).with_counts(rules=len(result.results), warnings=len(failed))


def _known(contract: Contract, batch: Batch) -> Known:
    """What the rules go by besides the tables. Rules without it are taken and not judged, and say so."""
    from lakehouse.quality.history import usual
    from lakehouse.quality.known import Known

    events = ledger.read(contract.name)
    found, silent = usual(contract.name, contract.rules, batch.windows, batch.run.kind, events)
    said = figures(contract, paths.landing(contract.name, *batch.landing))
    unasked = {r.name: "the source was not asked" for r in contract.rules if r.kind == "source" and r.name not in said}
    return Known(run_end=batch.run.end, usual=found, figures=said, unjudged={**silent, **unasked})


def _others(contract: Contract) -> tuple[str, ...]:
    """The tables that rules look at besides the candidate."""
    return tuple(sorted({t for r in contract.rules for t in r.tables if r.kind != "reference" or t != contract.name}))


def _candidate(spark: SparkSession, contract: Contract, branch: Branch | None) -> DataFrame:
    if branch is None:
        return spark.createDataFrame([], ", ".join(f"{quote(c.name)} {c.type}" for c in contract.columns))
    return spark.read.format("delta").load(branch.path)


def _overridden(result: GateResult) -> GateResult:
    from lakehouse.quality.override import use

    if result.passed or not result.candidate:
        return result
    failed = [r.rule for r in result.failures if r.severity == "critical"]
    override = use(result.table, result.candidate, failed, result.batch_id, result.run_id)
    return result if override is None else replace(result, override=override.override_id)
