"""What a database says went wrong, in a person's words: no SQL, no value, no address, no secret (OPS-5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.ingest.sql.engine import Engine


class SourceFailed(LakehouseError):
    """A source's query failed."""


class SourceTableMissing(SourceFailed):
    """The contract names a table that is not there, or is not ours to see."""


class SourceColumnMissing(SourceFailed):
    """The source no longer has its cursor or a key column."""


class SourceDenied(SourceFailed):
    """The source's table may not be read by whom we are."""


class SourceTimeout(SourceFailed):
    """A query was ended for taking too long, or by somebody."""


#: SQLSTATE of PostgreSQL and error numbers of Snowflake, by what they mean here.
_TABLE = {"42P01", "3F000", "3D000", 2003}
_COLUMN = {"42703", 904, 2043}
_DENIED = {"42501", 3001}
_TIMEOUT = {"57014", 604, 630, 253006}


@contextmanager
def named(engine: Engine, contract: Contract, source: Source) -> Iterator[None]:
    """Errors of the engine's client as one of ours. The chain is cut: drivers quote the statement and its values."""
    try:
        yield
    except engine.errors() as error:
        raise _fault(error, contract, source) from None
    except UnicodeDecodeError as error:
        raise SourceFailed(
            f"{contract.name}: {source.object} holds text that is not in the encoding it claims ({error.encoding}).",
            "Mend the source's rows, or set its encoding right; then clear the task.",
        ) from None


def _fault(error: Any, contract: Contract, source: Source) -> SourceFailed:
    codes = {getattr(error, name, None) for name in ("pgcode", "errno", "sqlstate")}
    told = next((str(c) for c in (getattr(error, "pgcode", None), getattr(error, "errno", None)) if c), "no code")
    where = f"{contract.name}: {source.object} of connection {source.connection}"
    if codes & _TABLE:
        return SourceTableMissing(
            f"{where} does not exist, or may not be seen.",
            f"Correct source.object in {contract.path}, or have the table made or granted there; then clear the task.",
        )
    if codes & _COLUMN:
        return SourceColumnMissing(
            f"{where} lost a column while it was read.",
            "Clear the task: the columns are looked up anew.",
        )
    if codes & _DENIED:
        return SourceDenied(
            f"{where} may not be read.", "Have SELECT on it granted to the connection's account; then clear the task."
        )
    if codes & _TIMEOUT:
        return SourceTimeout(
            f"{where}: a query was ended after its time limit, or by hand ({told}).",
            f"Raise the connection's statement timeout, or lower source.options.sliceRows in {contract.path}; slices "
            "that are landed are not asked for again.",
        )
    return SourceFailed(
        f"{where}: a query failed ({type(error).__name__}, {told}).",
        "See the source's own query history for the cause; then clear the task.",
    )
