"""The quality gate: a contract's rules as a Great Expectations suite, run over a candidate before it is published.

Not here: rows set aside on the way in (`lakehouse.bronze`), and what holds or publishes a batch (`lakehouse.pipeline`).
"""

from lakehouse.quality.gate import check
from lakehouse.quality.measure import RuleError
from lakehouse.quality.record import record
from lakehouse.quality.result import GateFailed, GateResult, RuleResult
from lakehouse.quality.suite import build_suite

__all__ = ["GateFailed", "GateResult", "RuleError", "RuleResult", "build_suite", "check", "record"]
