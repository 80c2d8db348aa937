"""Judging: every landed row cast to the contract, with the reasons that set it aside, in one pass of Spark SQL.

Columns out: the contract's, those the table has grown by, `_extra` STRING (JSON, see `bronze.drift`), `_row_hash`
BIGINT, `_faulty` BOOLEAN, `_reasons` ARRAY<STRING> (none for a row that is not faulty), `_discarded` BOOLEAN, `_landed`
STRING (the row as landed, JSON; PII already protected). Reasons and JSON cost more than all the rest: whoever needs
only the good rows leaves them out, and Spark then does not make them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakehouse.bronze.drift import as_json, discard_sql, extra_sql, unknown
from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.feed import FAULT
from lakehouse.ingest.landing import EXTRA, KEPT
from lakehouse.sqltext import literal, quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def judged(landed: DataFrame, contract: Contract, source: Source, grown: dict[str, str]) -> DataFrame:
    """`landed` (columns: see `ingest.landing`) with types cast and rules applied (CON-1, CON-2).

    `grown` are columns of the table beyond the contract, {name: type}.
    """
    more = unknown(landed)
    # Name in the table, type, name as landed ("" where the source did not give it).
    columns = [(c.name, c.type, c.name if c.name in landed.columns else "") for c in contract.columns]
    columns += [(name, kind, EXTRA + name if name in more else "") for name, kind in grown.items()]
    casts = [
        f"try_cast({quote(given)} AS {kind}) AS {quote(name)}" if given else f"CAST(NULL AS {kind}) AS {quote(name)}"
        for name, kind, given in columns
    ]
    is_of = dict(landed.dtypes)
    types = [
        (f"{name}_type", _type_fault(given, kind))
        for name, kind, given in columns
        # What has the type already cannot fail to become it.
        if given and is_of[given] != kind.lower().replace(" ", "")
    ]
    whole = ", ".join(f"{quote(name)} AS {quote(_shown(name, contract))}" for name in landed.columns)
    row = KEPT if KEPT in landed.columns else as_json(whole)
    unread = FAULT if FAULT in landed.columns else "CAST(NULL AS STRING)"
    typed = landed.selectExpr(
        *casts,
        f"{extra_sql(landed, source, grown)} AS _extra",
        f"{discard_sql(landed, source)} AS _discarded",
        f"{row} AS _landed",
        f"{unread} AS _unread",
        f"{_any(types)} AS _mistyped",
        f"{_array(types)} AS _type_reasons",
    )
    faults = [
        # The line break ends a comment that the predicate may end with.
        (rule.name, f"NOT coalesce(({rule.predicate}\n), false)")
        for rule in contract.row_rules
        if rule.disposition == "quarantine"
    ]
    names = [quote(name) for name, _, _ in columns]
    return typed.selectExpr(
        *names,
        "_extra",
        f"{row_hash([c.name for c in contract.columns], [*grown, '_extra'])} AS _row_hash",
        f"_unread IS NOT NULL OR _mistyped OR {_any(faults)} AS _faulty",
        # Of a row that could not be read, nothing else can be said: that its columns are null is no fault of theirs.
        f"IF(_unread IS NULL, concat(_type_reasons, {_array(faults)}), array(_unread)) AS _reasons",
        "_discarded",
        "_landed",
    )


def _shown(name: str, contract: Contract) -> str:
    """Name of a landed column in the kept row: the source's own, unless a column of the contract has it."""
    own = name.removeprefix(EXTRA)
    return name if any(column.name == own for column in contract.columns) else own


def row_hash(columns: list[str], more: list[str]) -> str:
    """SQL of a row's content hash. Spark's hash skips nulls, so a null mask keeps (null, 1) and (1, null) apart.

    `more` are columns beyond the contract: a row without values there has the hash it had before they came.
    """
    names = [quote(name) for name in columns]
    mask = ", ".join(f"IF({name} IS NULL, '1', '0')" for name in names)
    whole = " AND ".join(f"{name} IS NOT NULL" for name in names)
    beyond = [f"IF({quote(n)} IS NULL, NULL, concat({literal(n + '=')}, {quote(n)}))" for n in more]
    # Most rows have no null, and making the mask costs as much as all the rest.
    mask = f"IF({whole}, {literal('0' * len(names))}, concat({mask}))"
    return f"xxhash64({', '.join([*names, mask, *beyond])})"


def _type_fault(name: str, spark_type: str) -> str:
    return f"{quote(name)} IS NOT NULL AND try_cast({quote(name)} AS {spark_type}) IS NULL"


def _any(faults: list[tuple[str, str]]) -> str:
    return " OR ".join(f"({fault})" for _, fault in faults) or "false"


def _array(faults: list[tuple[str, str]]) -> str:
    if not faults:
        return "CAST(array() AS ARRAY<STRING>)"
    cases = ", ".join(f"IF({fault}, {literal(name)}, '')" for name, fault in faults)
    # A lambda would keep Spark from compiling what is around it.
    return f"array_remove(array({cases}), '')"
