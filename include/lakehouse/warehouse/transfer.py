"""A table to the warehouse: staged first, then changed, compared and recorded in one transaction.

Whoever dies, and whenever: the version is recorded with the rows or not at all, and the next attempt reads it there.
Of attempts at once one holds the control row; those that come after it see what it did, and go on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

from lakehouse import log
from lakehouse.config import settings
from lakehouse.connections import ConnectionMalformed
from lakehouse.contracts.model import Contract
from lakehouse.ingest.sql.statements import Statement
from lakehouse.killpoints import reach
from lakehouse.warehouse import lake, parts, statements
from lakehouse.warehouse.faults import ColumnConflict, Mismatch, Overtaken, named
from lakehouse.warehouse.lake import Held, Load

#: How often an attempt begins again because another one published in between.
ATTEMPTS = 3


@dataclass(frozen=True)
class Done:
    """What became of one table."""

    table: str
    target: str
    #: changes, whole, or nothing.
    state: str
    #: Why it went whole.
    why: str
    #: Versions of the table in the lake: what the warehouse held before, and holds now.
    since: int
    version: int
    #: Rows sent; rows that the warehouse holds now.
    sent: int
    rows: int

    def to_row(self) -> dict[str, Any]:
        """For people and programs."""
        return asdict(self)


def publish(
    contract: Contract, connection: Any, whole: bool = False, progress: Callable[[str], None] = lambda told: None
) -> Done:
    """Bring the warehouse behind `connection` to the table's latest version; nothing is done where it is there.

    `whole`: send everything, whatever it holds. Raises NotPublished, ColumnConflict, Mismatch, and WarehouseFailed for
    what the warehouse refuses.
    """
    with named(contract.name):
        for left in reversed(range(ATTEMPTS)):
            attempt = Attempt(contract, connection)
            try:
                return attempt.run(whole, progress)
            except Overtaken:
                log.get().warning("overtaken", table=contract.name, attempt=attempt.place.attempt)
                if not left:
                    raise
    raise AssertionError("unreachable")


class Attempt:
    """One attempt at a table. It has the connection's session to itself."""

    def __init__(self, contract: Contract, connection: Any) -> None:
        """Nothing is made yet."""
        self.contract, self.connection = contract, connection
        told = settings().warehouse
        schema = told.schema_name.format(layer=contract.layer).upper()
        database = self.rows(Statement("SELECT CURRENT_DATABASE()"))[0][0]
        if not database:
            raise ConnectionMalformed(
                f"Connection '{told.connection}' names no database, or one that its role may not use.",
                "Set `database` in its extra: that is where the schemas of the warehouse are.",
            )
        self.place = statements.Place(str(database), schema, contract.table.upper(), uuid4().hex[:12])

    def run(self, whole: bool, progress: Callable[[str], None]) -> Done:
        """See `publish`."""
        name, place = self.contract.name, self.place
        self.prepare()
        held = self.held()
        load = lake.plan(self.contract, held, whole)
        if not load.why and load.since == load.version:
            rows = int(self.rows(statements.told(place, name))[0][statements.TOLD.index("ROW_COUNT")])
            return Done(name, place.target, "nothing", "", load.since, load.version, 0, rows)
        self.make(load)
        reach("warehouse.made")
        progress(f"{name}: staging {'everything, as ' + load.why if load.why else 'what changed'}")
        sent = self.stage(load)
        reach("warehouse.staged")
        progress(f"{name}: adding up version {load.version}")
        here = lake.totals(load)
        progress(f"{name}: {sent} rows into {place.target}")
        self.transaction(load, here)
        state = "whole" if load.why else "changes"
        done = Done(name, place.target, state, load.why, load.since, load.version, sent, int(here[0] or 0))
        log.get().info("warehouse", **done.to_row())
        return done

    def prepare(self) -> None:
        """The session, and what all tables of the schema need."""
        place = self.place
        self.do(Statement(f"ALTER SESSION SET LOCK_TIMEOUT = {settings().warehouse.lock_timeout_seconds}"))
        self.do(Statement("ALTER SESSION SET QUERY_TAG = 'lakehouse'"))
        if not self.rows(statements.schema_exists(place)):
            self.do(statements.make_schema(place))
        if not self.rows(statements.columns(place, statements.CONTROL)):
            self.do(statements.make_control(place))

    def held(self) -> Held:
        """What the warehouse holds of the table. A control row without its table is forgotten first."""
        found = self.rows(statements.told(self.place, self.contract.name))
        if found and not self.rows(statements.columns(self.place, self.place.table)):
            self.do(statements.forget(self.place, self.contract.name))
            found = []
        return Held(int(found[0][0]), found[0][1], found[0][2]) if found else Held()

    def look(self) -> tuple[Held, int | None, Any]:
        """What the warehouse holds, its rows, and since when; changes nothing."""
        if not self.rows(statements.columns(self.place, statements.CONTROL)):
            return Held(), None, None
        found = self.rows(statements.told(self.place, self.contract.name))
        if not found or found[0][0] < 0 or not self.rows(statements.columns(self.place, self.place.table)):
            return Held(), None, None
        version, table_id, columns, rows, at = found[0]
        return Held(int(version), table_id, columns), int(rows), at

    def make(self, load: Load) -> None:
        """The table, its new columns, its control row; all outside of the transaction, for DDL would end it."""
        there = {row[0]: _spelled(*row[1:]) for row in self.rows(statements.columns(self.place, self.place.table))}
        if not there:
            self.do(statements.make_table(self.place, load.columns, self.contract.primary_key))
        for column in load.columns if there else ():
            if column.there not in there:
                self.do(statements.add_column(self.place, column))
            elif there[column.there] != column.spelled:
                raise ColumnConflict(
                    f"{self.place.target}: column {column.there} is {there[column.there]}, and {load.contract.path} "
                    f"makes it {column.spelled}.",
                    "Rename or drop the table there: the next publish makes it anew, whole.",
                )
        if load.since < 0:
            self.do(statements.begin_row(self.place, self.contract.name))

    def stage(self, load: Load) -> int:
        """The rows that go, into the attempt's own table; how many."""
        for statement in statements.staging(self.place, load.columns):
            self.do(statement)

        def put(file: Any) -> None:
            self.do(statements.put(self.place, file.as_uri()))
            reach("warehouse.put")

        sent = parts.send(lake.batches(load), load.columns, put)
        if sent:
            self.do(statements.copy(self.place))
        return sent

    def transaction(self, load: Load, here: Sequence[int | Decimal | None]) -> None:
        """Change, compare, record, commit; or roll back. Raises Overtaken or Mismatch."""
        place, name = self.place, self.contract.name
        self.do(Statement("BEGIN TRANSACTION"))
        try:
            self.do(statements.lock(place, name))
            # A statement of its own, after the lock: it sees what those before us committed while we waited.
            told = self.rows(statements.told(place, name))
            if not told or int(told[0][0]) != load.since:
                raise self.overtaken()
            reach("warehouse.locked")
            changes = (
                statements.replace(place, name, load.columns)
                if load.why
                else [statements.merge(place, name, load.columns, self.contract.primary_key)]
            )
            for statement in changes:
                self.do(statement)
            reach("warehouse.merged")
            self.compare(load, here)
            reach("warehouse.reconciled")
            recorded = self.count(
                statements.record(place, name, load.version, load.table_id, load.fingerprint, int(here[0] or 0))
            )
            if not recorded:
                raise self.overtaken()
            reach("warehouse.recorded")
            self.do(Statement("COMMIT"))
            # Outside of a transaction, which is where a sleeper is by then, it commits nothing and says nothing.
            if not self.rows(statements.holding(place, name)):
                raise self.overtaken()
        except BaseException:
            # Where it fails too, the session is gone, and its transaction with it; the first error is the one to tell.
            with suppress(Exception):
                self.do(Statement("ROLLBACK"))
            raise
        reach("warehouse.committed")

    def compare(self, load: Load, here: Sequence[int | Decimal | None]) -> None:
        """Raises Mismatch unless rows and sums there are those of the version, and Overtaken where it is not ours."""
        row = self.rows(statements.totals(self.place, load.measures))[0]
        there = [int(row[0]), *(None if value is None else Decimal(value) for value in row[1:])]
        differ = lake.compared(load.measures, here, there)
        if differ and not self.rows(statements.holding(self.place, load.contract.name)):
            raise self.overtaken()
        if differ:
            raise Mismatch(
                f"{load.contract.name}: version {load.version} does not add up in {self.place.target}. {differ}. "
                "Nothing was committed.",
                f"See who else writes there; `lakehouse warehouse publish {load.contract.name} --whole` sends it anew.",
            )

    def overtaken(self) -> Overtaken:
        """The error of an attempt that does not hold the control row."""
        return Overtaken(
            f"{self.contract.name}: another attempt published it in between. Nothing was done by this one.",
            "Clear the task: it goes on from what is there.",
        )

    def do(self, statement: Statement) -> None:
        """Run it."""
        with self.connection.cursor() as cursor:
            statement.run(cursor)

    def count(self, statement: Statement) -> int:
        """Run it; how many rows it changed."""
        with self.connection.cursor() as cursor:
            statement.run(cursor)
            return int(cursor.rowcount or 0)

    def rows(self, statement: Statement) -> list[tuple[Any, ...]]:
        """Run it; its result, which is small."""
        with self.connection.cursor() as cursor:
            statement.run(cursor)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found


def _spelled(kind: str, digits: int | None, scale: int | None) -> str:
    return f"{kind}({digits},{scale or 0})" if kind == "NUMBER" else kind
