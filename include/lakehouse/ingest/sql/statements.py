"""SQL statements by sqlglot: identifiers quoted, values bound (OPS-6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlglot import exp

#: Around a parameter's name in generated text: a character that no identifier has.
_MARK = "\0"


@dataclass(frozen=True)
class Statement:
    """SQL with pyformat parameters, and their values; both as DB-API cursors take them."""

    text: str
    values: dict[str, Any] = field(default_factory=dict)

    def run(self, cursor: Any) -> None:
        """Execute it: without parameters, a client leaves percent signs alone."""
        cursor.execute(self.text, self.values) if self.values else cursor.execute(self.text)


class Parameters:
    """Values of one statement, each bound under a name of its own."""

    def __init__(self) -> None:
        """None yet."""
        self.values: dict[str, Any] = {}

    def __call__(self, value: Any) -> exp.Expr:
        """`value` as a parameter."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return exp.Var(this=f"{_MARK}{name}{_MARK}")

    def statement(self, tree: exp.Expr, dialect: str) -> Statement:
        """`tree` as text with these values."""
        text = tree.sql(dialect=dialect)
        if self.values:
            text = text.replace("%", "%%")
        for name in self.values:
            text = text.replace(f"{_MARK}{name}{_MARK}", f"%({name})s")
        return Statement(text, self.values)


def moment(value: datetime) -> exp.Expr:
    """`value` as a literal, for statements that cannot have parameters."""
    kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
    return exp.cast(exp.Literal.string(value.isoformat(sep=" ")), kind)


def column(name: str) -> exp.Column:
    """A column of the source, by its very name."""
    return exp.column(exp.to_identifier(name, quoted=True))


def table(name: str) -> exp.Table:
    """A table, `name` being its dotted path."""
    parts = [exp.to_identifier(part, quoted=True) for part in name.split(".")]
    return exp.Table(
        this=parts[-1],
        db=parts[-2] if len(parts) > 1 else None,
        catalog=parts[-3] if len(parts) > 2 else None,
    )
