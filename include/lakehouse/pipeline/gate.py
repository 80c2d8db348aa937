"""The gate step: the contract's suite over the table exactly as it would be. A critical failure holds the batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from lakehouse import ledger, log, paths
from lakehouse.clock import now
from lakehouse.contracts.model import Contract
from lakehouse.killpoints import reach
from lakehouse.pipeline.batch import Batch
from lakehouse.pipeline.events import event_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def gate(contract: Contract, batch: Batch, candidates: Mapping[str, Batch] | None = None) -> Batch:
    """Audit `batch`. Raises GateFailed after a critical failure; nothing is published then (DQ-2).

    An empty batch changes nothing, so there is nothing to audit.
    """
    from lakehouse.delta import Branch, diff
    from lakehouse.quality import GateFailed, check, record
    from lakehouse.spark import connected
    from lakehouse.transform.inputs import resolve

    with log.bound(batch, "dq_gate"):
        if batch.empty:
            log.get().info("nothing to audit")
            return batch
        branch = Branch.from_json(batch.branch)
        fingerprint = diff(branch).fingerprint
        with connected(f"{contract.name} dq_gate") as spark:

            def frame(table: str) -> DataFrame:
                return resolve(contract.name, (table,), dict(candidates or {}))[table].frame(spark)

            candidate = spark.read.format("delta").load(branch.path)
            result = check(contract, candidate, frame, batch_id=batch.batch_id, run_id=batch.run.run_id)
        reach("gate.audited")
        record(result, checked_ts=now())
        reach("gate.recorded")
        failed = [r.rule for r in result.results if not r.success]
        log.get().info("audited", passed=result.passed, failed_rules=failed, seconds=result.seconds)
        if not result.passed:
            ledger.append(event_of(batch, "held", detail=", ".join(failed)))
            raise GateFailed(result, paths.table(contract.name))
        return replace(batch, audited=fingerprint).with_counts(rules=len(result.results), warnings=len(failed))
