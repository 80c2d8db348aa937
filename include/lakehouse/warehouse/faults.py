"""What goes wrong on the way to the warehouse, in a person's words: no SQL, no value, no address (OPS-5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lakehouse.errors import LakehouseError


class WarehouseFailed(LakehouseError):
    """A statement in the warehouse failed."""


class WarehouseDenied(WarehouseFailed):
    """The connection's role may not do what publishing needs."""


class WarehouseBusy(WarehouseFailed):
    """Another transaction on the same table was not over in time."""


class Overtaken(WarehouseFailed):
    """Another attempt published the table in between, or the warehouse ended this one's transaction."""


class Mismatch(LakehouseError):
    """After the merge the warehouse would not hold what the lake holds. Nothing was committed."""


class ColumnConflict(LakehouseError):
    """A column of the table in the warehouse is not of the contract's type."""


class NotPublished(LakehouseError):
    """A table that does not go to the warehouse, or has no version that could."""


#: Error numbers of Snowflake and SQLSTATEs, by what they mean here.
_DENIED = {3001, 3041, "42501"}
_BUSY = {604, 625, 630, "57014"}


@contextmanager
def named(table: str) -> Iterator[None]:
    """Errors of the connector as one of ours. The chain is cut: the client quotes the statement and its values."""
    from snowflake.connector.errors import Error

    try:
        yield
    except Error as error:
        raise _fault(error, table) from None


def _fault(error: Any, table: str) -> WarehouseFailed:
    codes = {getattr(error, name, None) for name in ("errno", "sqlstate")}
    told = f"{type(error).__name__}, {getattr(error, 'errno', None) or 'no code'}"
    if codes & _DENIED:
        return WarehouseDenied(
            f"{table}: the warehouse does not let the connection's role publish it ({told}).",
            "Grant the role USAGE on database and schema, CREATE SCHEMA or CREATE TABLE and CREATE STAGE there, and "
            "what it made itself; docs/deploy.md has the statements.",
        )
    if codes & _BUSY:
        return WarehouseBusy(
            f"{table}: another transaction on the same table was not over in time ({told}).",
            "Clear the task. If it stays so, SHOW LOCKS IN ACCOUNT names the transaction, and "
            "SELECT SYSTEM$ABORT_TRANSACTION(<id>) ends it.",
        )
    return WarehouseFailed(
        f"{table}: a statement in the warehouse failed ({told}). Nothing of it was committed.",
        "See the query history of the warehouse, by the query tag lakehouse; then clear the task.",
    )
