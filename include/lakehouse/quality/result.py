"""What a gate found, as frozen values: numbers, rule names and keys, never another value of a row (OPS-5)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lakehouse.contracts.model import Severity
from lakehouse.errors import LakehouseError


@dataclass(frozen=True)
class RuleResult:
    """One rule over one candidate."""

    rule: str
    kind: str
    severity: Severity
    success: bool
    #: Rows that break the rule; None where the rule speaks of the table and not of rows.
    failed_rows: int | None
    #: What was seen, in words for a person: "3 failing rows", "1200 rows, 40% of the usual 3000", "0.07".
    observed: str
    description: str
    #: What was measured: bad rows, rows, or what the query gave. None where there is no number.
    value: float | None = None
    #: Keys of a few rows that break the rule, as JSON; none where it holds, or speaks of no rows.
    sample: tuple[str, ...] = ()


@dataclass(frozen=True)
class GateResult:
    """All rules over one candidate. `passed` means that no critical rule failed (DQ-2)."""

    table: str
    batch_id: str
    run_id: str
    passed: bool
    results: tuple[RuleResult, ...]
    seconds: float
    #: Fingerprint of the candidate: what an override names.
    candidate: str = ""
    #: Id of the override that lets a failed candidate through; "" where there is none.
    override: str = ""

    @property
    def failures(self) -> tuple[RuleResult, ...]:
        """The rules that failed, warnings included."""
        return tuple(result for result in self.results if not result.success)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for XCom, logs and events."""
        return asdict(self)


class GateFailed(LakehouseError):
    """A critical rule failed: the batch is held and nothing is published."""

    def __init__(self, result: GateResult, published: str) -> None:
        """`published` is the path of the table that stays as it is."""
        told = "; ".join(
            f"{r.rule} ({r.severity}: {r.observed})"
            for r in sorted(result.failures, key=lambda r: r.severity)  # critical before warning
        )
        super().__init__(
            f"{result.table}: the quality gate failed for batch {result.batch_id}: {told}. {published} is unchanged. "
            f"The candidate is {result.candidate or 'not named'}.",
            f"See `lakehouse gate show {result.table}` for the rows, then follow runbooks/dq_failover.md.",
        )
        self.result = result
