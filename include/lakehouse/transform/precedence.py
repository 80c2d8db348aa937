"""Which source wins, by column: what a contract says (`precedence`) held against what its SQL does (MOD-5).

A value is taken from the first table of the list that has one: in SQL, COALESCE over columns that stem from one table
each, in that order. A column that coalesces several tables has to say so. Judges by syntax trees; runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakehouse.contracts import Contract, ContractError
from lakehouse.contracts.document import Document
from lakehouse.contracts.standard import Problem
from lakehouse.transform.sql import TransformSql

if TYPE_CHECKING:
    from sqlglot import exp

_REMEDY = "Write its tables, the winner first, as the property precedence of the column; or mend transform.sql."


def check_precedence(contract: Contract, transform: TransformSql, known: Mapping[str, Contract]) -> None:
    """Raise ContractError, with the line of each column whose `precedence` is not what its SQL does.

    `known` are the contracts of every table, by name.
    """
    document = Document(contract.path)
    problems: list[Problem] = []
    selected = {p.alias_or_name: p.unalias() for p in transform.tree.selects}
    for index, column in enumerate(contract.columns):
        stated = " > ".join(column.precedence)
        found = _taken_from(selected[column.name], transform, known) if column.name in selected else []
        does = " > ".join(" with ".join(sorted(tables)) for tables in found)
        if (column.precedence or len({*found}) > 1) and stated != does:
            what = f"column {column.name}: precedence is {stated or 'not stated'}, its SQL takes {does or 'no table'}"
            problems.append((document.line(("schema", 0, "properties", index)), what, _REMEDY))
    if problems:
        raise ContractError(contract.path, problems)


def _taken_from(value: exp.Expr, transform: TransformSql, known: Mapping[str, Contract]) -> list[frozenset[str]]:
    """The tables that each alternative of `value` stems from, in order; constants are no alternative."""
    from sqlglot import exp

    alternatives = [value.this, *value.expressions] if isinstance(value, exp.Coalesce) else [value]
    return [tables for part in alternatives if (tables := _roots(part, transform, known))]


def _roots(value: exp.Expr, transform: TransformSql, known: Mapping[str, Contract]) -> frozenset[str]:
    """Tables that `value`, an expression of the outermost SELECT, is computed from."""
    from sqlglot import exp
    from sqlglot.lineage import lineage

    if not value.find(exp.Column):
        return frozenset()
    tree = transform.tree.copy()
    tree.set("expressions", [exp.alias_(value.copy(), "_value")])
    schema: dict[str, dict[str, dict[str, str]]] = {}
    for name in transform.reads:
        layer, _, table = name.partition(".")
        columns = {column.name: column.type for column in known[name].columns}
        schema.setdefault(layer, {})[table] = {**columns, "_row_hash": "BIGINT"}
    leaves = (node.expression for node in lineage("_value", tree, schema=schema, dialect="spark").walk())
    return frozenset(f"{leaf.db}.{leaf.name}" for leaf in leaves if isinstance(leaf, exp.Table))
