"""The SOQL of an extract as SQL of SQLite: one object, a list of fields, comparisons, an order.

Parsed by sqlglot, so that nothing else reaches the store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

#: SOQL writes times without quotes.
_TIME = re.compile(r"(?<![\w'])(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,3})?Z")
_ALLOWED = (
    exp.Select, exp.From, exp.Table, exp.Where, exp.And, exp.Or, exp.Paren, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.EQ,
    exp.Order, exp.Ordered, exp.Limit, exp.Column, exp.Identifier, exp.Literal,
)  # fmt: skip


class Malformed(Exception):
    """A query this stand-in refuses; `code` is Salesforce's word for it."""

    def __init__(self, code: str, message: str) -> None:
        """What is sent to the client."""
        super().__init__(message)
        self.code = code


def translate(soql: str, tables: Mapping[str, str], fields: Mapping[str, Mapping[str, str]]) -> tuple[str, str]:
    """(object, SQL) of a query. `tables`: {object: table}; `fields`: {object: {field: column}}. Raises Malformed."""
    quoted = _TIME.sub(lambda found: f"'{found[1]}{(found[2] or '.').ljust(4, '0')}Z'", soql)
    try:
        tree = sqlglot.parse_one(quoted)
    except SqlglotError:
        raise Malformed("MALFORMED_QUERY", "unexpected token") from None
    odd = [node for node in tree.walk() if not isinstance(node, _ALLOWED)]
    if not isinstance(tree, exp.Select) or odd:
        raise Malformed("MALFORMED_QUERY", f"unexpected token: {type(odd[0] if odd else tree).__name__}")
    (table,) = tree.find_all(exp.Table)
    name = {known.lower(): known for known in tables}.get(table.name.lower())
    if name is None:
        raise Malformed("INVALID_TYPE", f"sObject type '{table.name}' is not supported.")
    table.replace(exp.to_table(tables[name], dialect="sqlite"))
    known = {field.lower(): (field, column) for field, column in fields[name].items()}
    for column in list(tree.find_all(exp.Column)):
        if column.name.lower() not in known:
            raise Malformed("INVALID_FIELD", f"No such column '{column.name}' on entity '{name}'.")
        field, stored = known[column.name.lower()]
        kept: exp.Expression = exp.column(exp.to_identifier(stored, quoted=True))
        column.replace(exp.alias_(kept, field, quoted=True) if column.parent is tree else kept)
    return name, tree.sql(dialect="sqlite")
