"""What the stand-in lacks of Snowflake's sessions and transactions: locks that are waited for, and their end.

As Snowflake has it, in short: UPDATE, DELETE and MERGE lock what they change until their transaction ends, and others
wait up to LOCK_TIMEOUT; a transaction that is idle while others wait for it is rolled back (there after 5 minutes, here
after IDLE seconds), and its session goes on outside of one. Temporary tables end with their session.

Coarser than the original: there is one lock, not one a table, so the stand-in proves what waiting attempts do, and not
which ones wait.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Seconds after which a transaction that others wait for is given up.
IDLE = 5.0
#: Seconds that are waited for the lock, unless the session says otherwise; Snowflake's own default.
LOCK_TIMEOUT = 43_200.0
#: What the engine would refuse, and is told here.
TOLD = r"ALTER SESSION SET (LOCK_TIMEOUT|QUERY_TAG)\b"
#: Snowflake's answer to a statement that waited too long.
TIMED_OUT = {"code": "000625", "sqlState": "57014", "message": "Statement reached its lock wait timeout."}

_LOCK_TIMEOUT = re.compile(r"\s*ALTER\s+SESSION\s+SET\s+LOCK_TIMEOUT\s*=\s*(\d+)", re.IGNORECASE)
_PAUSE = 0.02
#: Comment of a temporary table.
TEMPORARY = "temporary"


@dataclass
class _Session:
    timeout: float = LOCK_TIMEOUT
    open: bool = False
    busy: int = 0
    seen: float = field(default_factory=time.monotonic)


class Locks:
    """Which session holds the lock. `roll_back(token)` ends the transaction of a session."""

    def __init__(self, roll_back: Callable[[str], None], idle: float = IDLE) -> None:
        """Nobody holds it."""
        self.roll_back, self.idle = roll_back, idle
        self.sessions: dict[str, _Session] = {}
        self.holder = ""

    async def before(self, token: str, sql: str) -> bool:
        """Called ahead of a statement; False: it may not run, it waited too long."""
        session = self.sessions.setdefault(token, _Session())
        told = _LOCK_TIMEOUT.match(sql)
        if told:
            session.timeout = float(told[1])
        if _verb(sql) in ("UPDATE", "DELETE", "MERGE") and not await self._acquire(token, session):
            return False
        session.busy += 1
        return True

    def after(self, token: str, sql: str, well: bool) -> None:
        """Called when it has run."""
        session = self.sessions[token]
        session.busy -= 1
        session.seen = time.monotonic()
        verb = _verb(sql)
        if verb in ("BEGIN", "START") and well:
            session.open = True
        if verb in ("COMMIT", "ROLLBACK"):
            session.open = False
        if not session.open and self.holder == token:
            self.holder = ""

    def end(self, token: str) -> None:
        """The session has ended, and its transaction with it."""
        session = self.sessions.pop(token, None)
        if session and session.open:
            self.roll_back(token)
        if self.holder == token:
            self.holder = ""

    async def _acquire(self, token: str, session: _Session) -> bool:
        until = time.monotonic() + session.timeout
        while self.holder not in ("", token):
            holder = self.sessions[self.holder]
            if not holder.busy and time.monotonic() - holder.seen > self.idle:
                holder.open = False
                self.roll_back(self.holder)
                break
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_PAUSE)
        self.holder = token
        return True


def _verb(sql: str) -> str:
    return sql.split(None, 1)[0].upper().rstrip(";") if sql.strip() else ""


def patch_engine() -> None:
    """MERGE inside of a transaction, and temporary tables that have a schema: the engine's own do neither.

    A MERGE is worked out there by a scratch table, whose bookkeeping goes to another database than the table, which no
    transaction may; it is made without. A temporary table is an ordinary one, dropped when its session ends.
    """
    from fakesnow.cursor import FakeSnowflakeCursor
    from sqlglot import exp

    engine: Any = FakeSnowflakeCursor
    execute = engine._execute

    def patched(self: Any, transformed: Any, params: Any = None) -> None:
        table = transformed.find(exp.Table) if isinstance(transformed, exp.Create) else None
        if table is not None and table.name.lower() == "merge_candidates":
            self._duck_conn.execute(transformed.sql(dialect="duckdb"), params)
            return
        temporary = transformed.find(exp.TemporaryProperty)
        if table is not None and table.db and temporary is not None and transformed.kind == "TABLE":
            temporary.pop()
            kept = self._conn.__dict__.setdefault("lakehouse_temporary", [])
            kept.append(table.sql(dialect="duckdb"))
            execute(self, transformed, params)
            self._duck_conn.execute(f"COMMENT ON TABLE {kept[-1]} IS '{TEMPORARY}'")
            return
        execute(self, transformed, params)

    engine._execute = patched


def drop_orphans(duck: Any) -> None:
    """Drop temporary tables of sessions that ended with the server's process."""
    found = duck.execute(
        "SELECT database_name, schema_name, table_name FROM duckdb_tables() WHERE comment = ?", [TEMPORARY]
    ).fetchall()
    for name in found:
        duck.execute(f"DROP TABLE {'.'.join(quoted(part) for part in name)}")


def quoted(name: str) -> str:
    """An identifier of the engine."""
    from sqlglot import exp

    return exp.to_identifier(name, quoted=True).sql("duckdb")


def drop_temporary(connection: Any) -> None:
    """Drop the temporary tables of a session."""
    for table in connection.__dict__.pop("lakehouse_temporary", []):
        connection._duck_conn.execute(f"DROP TABLE IF EXISTS {table}")
