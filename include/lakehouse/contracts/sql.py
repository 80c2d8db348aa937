"""Judges the SQL that people write into contracts, by its syntax tree; runs none of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Stands for the candidate table in a `type: sql` rule.
TABLE_PLACEHOLDER = "${table}"
#: Stands for the end of the run's interval there: what a rule about time goes by, for nothing reads the clock.
RUN_END_PLACEHOLDER = "${run_end}"


def filled(query: str, candidate: str, run_end: str = "TIMESTAMP '2000-01-01 00:00:00'") -> str:
    """`query` with its placeholders replaced: `candidate` names a table, `run_end` is a literal."""
    return query.replace(TABLE_PLACEHOLDER, candidate).replace(RUN_END_PLACEHOLDER, run_end)


def predicate_problem(text: object, columns: Iterable[str]) -> str:
    """Why `text` is no condition on a row of `columns`; "" when it is one."""
    from sqlglot import exp

    tree = _parsed(text)
    if isinstance(tree, str):
        return tree
    if tree.find(exp.Query):
        return "it reads other rows"
    known = {name.lower() for name in columns}
    strangers = {
        c.name for c in tree.find_all(exp.Column) if c.name.lower() not in known and not c.name.startswith("_")
    }
    return f"it names no column of this contract: {', '.join(sorted(strangers))}" if strangers else ""


def query_problem(text: object) -> str:
    """Why `text` is no query of a rule; "" when it is one."""
    from sqlglot import exp

    if not isinstance(text, str) or TABLE_PLACEHOLDER not in text:
        return f"it does not read {TABLE_PLACEHOLDER}"
    tree = _parsed(filled(text, "candidate.candidate"))
    if isinstance(tree, str):
        return tree
    if not isinstance(tree, exp.Query):
        return "it is not a SELECT"
    return "" if len(tree.selects) == 1 else "it returns more than one value"


def tables_read(query: str) -> tuple[str, ...]:
    """Tables, layer.table, that a rule's query reads besides the candidate. The query must parse."""
    from sqlglot import exp

    tables = _parsed(filled(query, "candidate")).find_all(exp.Table)
    return tuple(sorted({f"{table.db}.{table.name}" for table in tables if table.db}))


def _parsed(text: object) -> Any:
    from sqlglot import parse
    from sqlglot.errors import SqlglotError

    if not isinstance(text, str):
        return "it is not text"
    try:
        trees = [tree for tree in parse(text, read="spark") if tree]
    except SqlglotError as error:
        return f"not valid Spark SQL: {str(error).splitlines()[0]}"
    return trees[0] if len(trees) == 1 else "it is not exactly one statement"
