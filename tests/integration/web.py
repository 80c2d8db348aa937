"""The stand-ins of Salesforce and the rates API on a thread of this process, with connections to them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse.config import PROJECT
from lakehouse.connections import Connection, open_client
from lakehouse.contracts import Contract, load_contract
from lakehouse.contracts.model import Source
from lakehouse.ingest.feed import FAULT, RAW, open_feed
from lakehouse.ledger.windows import Window
from lakehouse.sandbox.shop.model import TABLES, Change, Row
from lakehouse.sandbox.web import server, store
from lakehouse.sandbox.web.faults import Faults
from lakehouse.sandbox.web.salesforce import Salesforce

#: Secrets that must be nowhere but at the server.
PASSWORD, TOKEN, KEY = "hush-password", "hush-token", "hush-key"
START = datetime(2025, 10, 1, tzinfo=UTC)


@dataclass
class Web:
    """Both stand-ins."""

    port: int
    file: Path
    faults: Faults = field(default_factory=Faults)
    salesforce: Salesforce | None = None

    @property
    def salesforce_connection(self) -> Connection:
        extra = {"security_token": TOKEN, "domain": "login", "endpoint_url": f"http://127.0.0.1:{self.port}"}
        return Connection("salesforce_default", "salesforce", login="me", password=PASSWORD, extra=extra)

    def fx_connection(self, **extra: Any) -> Connection:
        extra = extra or {"key_header": "X-API-Key"}
        return Connection("fx_api", "http", "127.0.0.1", self.port, password=KEY, schema="http", extra=extra)

    def fill(self, table: str, rows: Sequence[Row]) -> None:
        """These rows and no others."""
        with store.opened(self.file) as db:
            db.execute(f"DELETE FROM {store.quote(table)}")
            store.put(db, Change.of(TABLES[table], list(rows)))

    def read(
        self, table: str, low: datetime, high: datetime, connection: Connection | None = None, **changed: Any
    ) -> list[dict[str, Any]]:
        """What the feed of a bronze table gives for (low, high], its lookback set aside."""
        contract, source = bronze(table, **changed)
        client = open_client(connection or self.connection_of(source))
        try:
            feed = open_feed(contract, source, client)
            slices = feed.plan([Window(low, high)], ())
            rows = [row for piece in slices for batch in feed.read(piece) for row in batch.to_pylist()]
            assert {(row.pop(FAULT), row.pop(RAW)) for row in rows} <= {(None, None)}
            return rows
        finally:
            client.close()

    def connection_of(self, source: Source) -> Connection:
        return self.salesforce_connection if source.kind == "salesforce" else self.fx_connection()


def bronze(table: str, **changed: Any) -> tuple[Contract, Source]:
    """The contract of a bronze table and its source, which has no lookback unless `changed` says so."""
    contract = load_contract(PROJECT / "include" / "tables" / "bronze" / table)
    assert contract.source
    return contract, replace(contract.source, **{"lookback": timedelta(0), **changed})


@contextmanager
def served(folder: Path) -> Iterator[Web]:
    import uvicorn

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web = Web(port, folder / store.FILE)
    app = server.application(folder, PASSWORD + TOKEN, KEY, web.faults)
    web.salesforce = app.state.salesforce
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.started, "the stand-in did not start within 20 s"
    yield web
    running.should_exit = True
    thread.join(timeout=10)
