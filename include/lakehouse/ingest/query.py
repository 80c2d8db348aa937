"""The SQL an extract sends: identifiers through sqlglot, the window's bounds as bound parameters (OPS-6)."""

from __future__ import annotations

from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import ConfigError

#: sqlglot dialect of each kind of source.
DIALECTS = {"snowflake": "snowflake", "redshift": "redshift"}


def extract_query(contract: Contract, source: Source) -> str:
    """SELECT of the contract's columns for `low` < cursor <= `high`, with pyformat parameters low and high.

    Rows without a cursor belong to no window; they come with every extract, so that quarantine sees them.
    """
    from sqlglot import exp

    if source.kind not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise ConfigError(f"{contract.path}: source type '{source.kind}' is unknown.", f"Use one of: {known}.")

    def column(name: str) -> exp.Column:
        return exp.column(exp.to_identifier(name, quoted=True))

    cursor = column(contract.column(source.cursor).source_name)
    parts = [exp.to_identifier(part, quoted=True) for part in source.object.split(".")]
    table = exp.Table(
        this=parts[-1],
        db=parts[-2] if len(parts) > 1 else None,
        catalog=parts[-3] if len(parts) > 2 else None,
    )
    inside = exp.and_(
        exp.GT(this=cursor, expression=exp.Var(this="%(low)s")),
        exp.LTE(this=cursor.copy(), expression=exp.Var(this="%(high)s")),
    )
    query = (
        exp.select(*[column(c.source_name).as_(exp.to_identifier(c.name, quoted=True)) for c in contract.columns])
        .from_(table)
        .where(exp.or_(exp.paren(inside), exp.Is(this=cursor.copy(), expression=exp.Null())))
    )
    return query.sql(dialect=DIALECTS[source.kind])
