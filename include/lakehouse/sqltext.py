"""Identifiers and literals as Spark SQL text, written by sqlglot and never by hand (OPS-6)."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any


def quote(name: str) -> str:
    """`name` as a quoted identifier."""
    from sqlglot import exp

    return exp.to_identifier(name, quoted=True).sql(dialect="spark")


def literal(value: Any) -> str:
    """`value` as a literal: text, number, boolean, date, moment, or NULL."""
    from sqlglot import exp

    return exp.convert(value.isoformat() if isinstance(value, date | datetime) else value).sql(dialect="spark")


def timestamp(value: datetime) -> str:
    """`value` as a TIMESTAMP literal."""
    return f"CAST({literal(value)} AS TIMESTAMP)"
