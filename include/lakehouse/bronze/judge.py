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
from lakehouse.repeats import WHOLE
from lakehouse.sqltext import literal, quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: What there is of days and moments.
_CALENDAR = {
    "DATE": (">= DATE'0001-01-01'", "<= DATE'9999-12-31'"),
    "TIMESTAMP": (">= TIMESTAMP'0001-01-01T00:00:00Z'", "<= TIMESTAMP'9999-12-31T23:59:59.999999Z'"),
}


def judged(landed: DataFrame, contract: Contract, source: Source, grown: dict[str, str]) -> DataFrame:
    """`landed` (columns: see `ingest.landing`) with types cast and rules applied (CON-1, CON-2).

    `grown` are columns of the table beyond the contract, {name: type}.
    """
    more = unknown(landed)
    # Name in the table, type, name as landed ("" where the source did not give it).
    columns = [(c.name, c.type, c.name if c.name in landed.columns else "") for c in contract.columns]
    columns += [(name, kind, EXTRA + name if name in more else "") for name, kind in grown.items()]
    is_of = dict(landed.dtypes)
    casts = [
        f"{cast(given, is_of[given], kind) if given else f'CAST(NULL AS {kind})'} AS {quote(name)}"
        for name, kind, given in columns
    ]
    types = [
        (f"{name}_type", f"{quote(given)} IS NOT NULL AND {cast(given, is_of[given], kind)} IS NULL")
        for name, kind, given in columns
        # What has the type already cannot fail to become it.
        if given and not _is(is_of[given], kind)
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
    names_of = [name for name, _, _ in columns]
    names = [quote(name) for name in names_of]
    return typed.selectExpr(
        *names,
        "_extra",
        f"{row_hash([*names_of, '_extra'])} AS _row_hash",
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


def row_hash(columns: list[str]) -> str:
    """SQL of a row's content hash: of its values and of the names of the columns that have one, in the order of names.

    So a row has the same hash before a column comes that it has no value in, after one goes that it had none in, and
    whatever the order the contract has its columns in: read again, it is the row that is there (ING-2).
    """
    ordered = sorted(columns)
    # Spark's hash skips nulls; the names keep (null, 1) and (1, null) apart. `_extra` is null in most tables.
    whole = " AND ".join(f"{quote(name)} IS {'NULL' if name == '_extra' else 'NOT NULL'}" for name in ordered)
    all_names = literal(",".join(name for name in ordered if name != "_extra"))
    given = ", ".join(f"IF({quote(name)} IS NULL, NULL, {literal(name)})" for name in ordered)
    # Most rows have no null, and to put the names together costs as much as all the rest.
    return f"xxhash64({', '.join(map(quote, ordered))}, IF({whole}, {all_names}, concat_ws(',', {given})))"


def cast(name: str, landed: str, kind: str) -> str:
    """SQL of the landed column `name`, of the Spark type `landed`, as `kind`; null for a value that is none.

    Stricter than Spark's own cast: no time of day becomes one of today, no year is beyond the calendar (1 to 9999), no
    fraction is cut off, and no exponent makes a decimal of a thousand digits.
    """
    value = quote(name)
    made = f"try_cast({value} AS {kind})"
    if _is(landed, kind):
        return made
    if kind in ("DATE", "TIMESTAMP"):
        inside = " AND ".join(f"{made} {bound}" for bound in _CALENDAR[kind])
        dated = rf"{value} RLIKE '^[\\s\\p{{Cntrl}}]*[+]?[0-9]{{4}}' AND " if landed == "string" else ""
        return f"IF({dated}{inside}, {made}, NULL)"
    if kind.startswith("DECIMAL") and landed == "string":
        return f"IF({value} RLIKE '[eE][+-]?0*[1-9][0-9]{{3}}', NULL, {made})"
    if kind in WHOLE and landed.startswith(("decimal", "double", "float")):
        return f"IF({made} = {value}, {made}, NULL)"
    return made


def _is(landed: str, kind: str) -> bool:
    return landed == kind.lower().replace(" ", "")


def _any(faults: list[tuple[str, str]]) -> str:
    return " OR ".join(f"({fault})" for _, fault in faults) or "false"


def _array(faults: list[tuple[str, str]]) -> str:
    if not faults:
        return "CAST(array() AS ARRAY<STRING>)"
    cases = ", ".join(f"IF({fault}, {literal(name)}, '')" for name, fault in faults)
    # A lambda would keep Spark from compiling what is around it.
    return f"array_remove(array({cases}), '')"
