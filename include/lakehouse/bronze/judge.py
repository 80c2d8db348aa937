"""Judging: every landed row cast to the contract, with the reasons that set it aside, in one pass of Spark SQL.

Columns out: the contract's, `_row_hash` BIGINT, `_reasons` ARRAY<STRING> (empty for a good row), `_landed` STRING
(the row as landed, JSON; PII already protected).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.contracts.model import Contract
from lakehouse.sqltext import literal, quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def judged(landed: DataFrame, contract: Contract) -> DataFrame:
    """`landed` (columns named as in the contract, any type) with types cast and rules applied (CON-1, CON-2)."""
    raw = [column.name for column in contract.columns]
    casts = [f"try_cast({quote(c.name)} AS {c.type}) AS {quote(c.name)}" for c in contract.columns]
    typed = landed.selectExpr(
        *casts,
        f"to_json(struct({', '.join(map(quote, raw))})) AS _landed",
        f"{_array([(f'{c.name}_type', _type_fault(c.name, c.type)) for c in contract.columns])} AS _type_reasons",
    )
    faults = [
        (rule.name, f"NOT coalesce(({rule.predicate}), false)")
        for rule in contract.row_rules
        if rule.disposition == "quarantine"
    ]
    return typed.selectExpr(
        *map(quote, raw),
        f"{row_hash(raw)} AS _row_hash",
        f"concat(_type_reasons, {_array(faults)}) AS _reasons",
        "_landed",
    )


def row_hash(columns: list[str]) -> str:
    """SQL of a row's content hash. Spark's hash skips nulls, so a null mask keeps (null, 1) and (1, null) apart."""
    names = [quote(name) for name in columns]
    mask = ", ".join(f"IF({name} IS NULL, '1', '0')" for name in names)
    return f"xxhash64({', '.join(names)}, concat({mask}))"


def _type_fault(name: str, spark_type: str) -> str:
    return f"{quote(name)} IS NOT NULL AND try_cast({quote(name)} AS {spark_type}) IS NULL"


def _array(faults: list[tuple[str, str]]) -> str:
    if not faults:
        return "CAST(array() AS ARRAY<STRING>)"
    cases = ", ".join(f"IF({fault}, {literal(name)}, NULL)" for name, fault in faults)
    return f"filter(array({cases}), reason -> reason IS NOT NULL)"
