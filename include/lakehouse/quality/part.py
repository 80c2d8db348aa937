"""What of a candidate can break a rule that the version before it kept: the rows of new files, and no others.

A version says in its commit which rules no row of it broke, each with what the rule was then (`kept`). Files do not
change: of such a rule, rows of files that were there already are good still. A key that repeats does so with a row of
a new file, and lies within the bounds of theirs. A row can only refer to nothing where it is new, or where the other
table has lost a row of its key since that was looked at (see `pipeline.scope`).
Not for reading tables: from logs and values alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from lakehouse.contracts.model import Contract, Rule
from lakehouse.quality.known import Part
from lakehouse.quality.measure import COUNTS_ROWS
from lakehouse.quality.result import GateResult
from lakehouse.sqltext import literal, quote

if TYPE_CHECKING:
    from sqlglot import exp

    from lakehouse.delta import Statistics

#: Part of what a rule is: another number where what a gate measures, or takes for lasting, has changed.
FORMAT = 1
#: Words that begin what Spark reads as a moment of today.
_TODAY = ("now", "today", "tomorrow", "yesterday")
#: Functions, by sqlglot's names, that tell of chance, of the moment or of the session even with an argument.
_FLEETING = ("Current", "Localtime", "Rand", "Shuffle", "Uniform", "Uuid")


def kept(contract: Contract, result: GateResult) -> dict[str, str]:
    """{rule: what it is} of rules that no row of what was audited breaks, and that bind its rows for good."""
    clean = {found.rule for found in result.results if found.value == 0}
    return {r.name: definition(contract, r) for r in contract.rules if r.name in clean and _lasting(contract, r)}


def still_kept(contract: Contract, told: Mapping[str, str]) -> set[str]:
    """Rules of `contract` that `told`, what an earlier version says it keeps, has as they are now."""
    return {rule.name for rule in contract.rules if told.get(rule.name) == definition(contract, rule)}


def confined(contract: Contract, names: Collection[str], path: str, rows: int, added: Statistics) -> Part:
    """The part of a candidate of `rows` rows that has to be looked at for the rules `names`, kept before.

    `path` is the table of the files that it adds, and `added` what they tell.
    """
    rules = {}
    for rule in contract.rules:
        if rule.name not in names:
            continue
        columns = {"unique": rule.columns, "reference": rule.columns[:1]}.get(rule.kind, ())
        other = {rule.columns[0]: str(rule.params["column"])} if rule.kind == "reference" else {}
        bounds = [_bounds(other.get(name, name), name, contract, added) for name in columns]
        rules[rule.name] = " AND ".join(bound for bound in bounds if bound)
    return Part(path, rows, rules)


def definition(contract: Contract, rule: Rule) -> str:
    """What a rule asks of rows, in 16 hex digits: its name, severity and words aside."""
    types = [contract.column(name).type for name in rule.columns]
    said = [FORMAT, rule.kind, rule.columns, types, rule.predicate, rule.params]
    return sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _lasting(contract: Contract, rule: Rule) -> bool:
    """Whether a row that is good by `rule` is so for good, as long as it and what it is held against are there."""
    if rule.kind not in COUNTS_ROWS or contract.name in rule.tables:
        return False
    return steady(contract, rule)


def steady(contract: Contract, rule: Rule) -> bool:
    """Whether the predicate of `rule` gives the same for the same row at any time. False where that is not certain.

    What is made of a contract's own words, such as a range, does.
    """
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError

    if rule.kind != "row":
        return True
    try:
        tree = parse_one(rule.predicate, dialect="spark")
    except SqlglotError:
        return False
    columns = {column.name.lower() for column in contract.columns}
    return not any(_fleeting(node) or _strange(node, columns) for node in tree.walk())


def _strange(node: exp.Expr, columns: Collection[str]) -> bool:
    """Whether it is something that is not known here."""
    from sqlglot import exp

    unknown = isinstance(node, exp.Column) and node.name.lower() not in columns
    # What a moment is made of may come to be a word for today's.
    made = isinstance(node, exp.Cast) and not node.find(exp.Column) and not isinstance(node.this, exp.Literal)
    return unknown or made or isinstance(node, exp.Query | exp.Anonymous)


def _fleeting(node: exp.Expr) -> bool:
    """Whether it may give something else another time."""
    from sqlglot import exp

    if isinstance(node, exp.Literal):
        return node.is_string and any(word in _TODAY for word in node.name.lower().split()[:1])
    # Without an argument, a function tells of nothing else.
    silent = isinstance(node, exp.Func) and not any(node.args.values())
    return silent or type(node).__name__.startswith(_FLEETING)


def _bounds(shown: str, column: str, contract: Contract, added: Statistics) -> str:
    """Condition on the column `shown` that values of the new files' `column` meet; "" where they do not tell."""
    if added.rows == 0:
        return "false"
    span = added.span(column)
    if span is None:
        return ""
    kind = contract.column(column).type
    low, high = (f"CAST({literal(_plain(end))} AS {kind})" for end in span)
    return f"{quote(shown)} BETWEEN {low} AND {high}"


def _plain(value: Any) -> Any:
    """A bound as text: decimals keep their digits so."""
    return value if isinstance(value, int) else str(value)
