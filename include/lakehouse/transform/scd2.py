"""Slowly changing dimensions, type 2: versions of each key, computed in full from its observed history (MOD-2).

In: one row per observed change, with `valid_from`, `_deleted`, `_sequence` and the contract's columns. Out: the
contract's columns, and `_changed_ts`, when the change was that opened the version, whatever `opensAt` says. Order of
arrival does not matter; equal neighbours are one version; a delete closes, a re-insert opens again. The surrogate key
hashes natural key and valid_from, so a rebuild gives the same keys.
"""

from __future__ import annotations

from lakehouse.contracts.model import Contract, Scd2
from lakehouse.sqltext import literal, quote

END_OF_TIME = "9999-12-31T00:00:00+00:00"
UNKNOWN_KEY = -1
CHANGED = "_changed_ts"


def versions_sql(contract: Contract, scd2: Scd2, history: str, resumed: bool = False) -> str:
    """SELECT of the dimension over `history`, a view or a sub-query in parentheses.

    With `resumed` the history of some keys begins with a version that is there: `_resumed` is its `valid_from`, and
    null for all other rows.
    """
    keys, order = ", ".join(map(quote, scd2.key)), "valid_from, _sequence"
    attributes = [*scd2.tracked, *scd2.carried]
    # xxhash64 skips nulls; the mask keeps (null, 'a') and ('a', null) apart. A deletion is a state of its own.
    state = f"struct({', '.join(map(quote, scd2.tracked))}, _deleted)"
    latest = ", ".join(f"max_by({quote(n)}, struct({order})) AS {quote(n)}" for n in attributes)
    # The first version opens no later than with its first change.
    first = f"least(CAST({literal(scd2.opens_at)} AS TIMESTAMP), valid_from)" if scd2.opens_at else "valid_from"
    outputs = ", ".join(_output(c.name, scd2) for c in contract.columns)
    # What is resumed opened when it did, be it the first version or a later one.
    opens, resumes = ("coalesce(_resumed, {})", "max(_resumed) AS _resumed, ") if resumed else ("{}", "")
    unknown = ", ".join(f"CAST({_unknown(c.name, scd2)} AS {c.type}) AS {quote(c.name)}" for c in contract.columns)
    member = f"\nUNION ALL SELECT {unknown}, NULL" if scd2.unknown_member else ""
    return f"""
WITH moments AS (  -- of several changes at one moment the last one is the state from then on
  SELECT * FROM {history}
  QUALIFY row_number() OVER (PARTITION BY {keys}, valid_from ORDER BY _sequence DESC) = 1
), changes AS (
  SELECT *, {state} <=> lag({state}) OVER (PARTITION BY {keys} ORDER BY {order}) AS _same FROM moments
), runs AS (
  SELECT *, sum(IF(_same, 0, 1)) OVER (PARTITION BY {keys} ORDER BY {order}) AS _run FROM changes
), states AS (
  SELECT {keys}, _run, min(valid_from) AS valid_from, bool_or(_deleted) AS _deleted, {resumes}{latest}
  FROM runs GROUP BY {keys}, _run
), versions AS (
  SELECT {keys}, {", ".join(map(quote, attributes))}, _deleted,
    {opens.format(f"IF(_run = 1, {first}, valid_from)")} AS valid_from, valid_from AS {CHANGED},
    lead(valid_from) OVER (PARTITION BY {keys} ORDER BY valid_from) AS _next
  FROM states
)
SELECT {outputs}, {CHANGED} FROM versions WHERE NOT _deleted{member}"""


def _output(name: str, scd2: Scd2) -> str:
    computed = {
        scd2.surrogate_key: f"xxhash64({', '.join(map(quote, scd2.key))}, valid_from)",
        "valid_to": f"coalesce(_next, CAST({literal(END_OF_TIME)} AS TIMESTAMP))",
        "is_current": "_next IS NULL",
    }
    return f"{computed.get(name, quote(name))} AS {quote(name)}"


def _unknown(name: str, scd2: Scd2) -> str:
    fixed = {
        scd2.surrogate_key: str(UNKNOWN_KEY),
        "valid_from": "'1900-01-01T00:00:00Z'",
        "valid_to": literal(END_OF_TIME),
        "is_current": "TRUE",
    }
    return fixed.get(name) or literal(scd2.unknown_member.get(name))
