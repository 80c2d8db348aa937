"""Applying the shop through the real clients: once, in order, and rightly after a crash."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.sandbox.shop import Shop, ShopConfig, ShopError
from lakehouse.sandbox.shop import apply as module
from lakehouse.sandbox.shop.apply import applied_days, apply_day, apply_through
from lakehouse.sandbox.shop.model import WAREHOUSES
from lakehouse.sandbox.shop.snapshot import snapshot

pytestmark = pytest.mark.integration
CONFIG = ShopConfig(scale=0.1)


@pytest.fixture(scope="module")
def redshift_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import pgserver

    server = pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def redshift(redshift_server: str) -> Iterator[Any]:
    import psycopg2

    connection = psycopg2.connect(redshift_server)
    connection.cursor().execute("DROP SCHEMA IF EXISTS shop CASCADE")
    connection.commit()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def snowflake_port() -> Iterator[int]:
    """A fakesnow server on a thread of this process."""
    import uvicorn
    from fakesnow.server import app

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.started, "fakesnow did not start within 20 s"
    yield port
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture
def snowflake(snowflake_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection to an account of its own, kept in files as in the sandbox."""
    import snowflake.connector
    from fakesnow.instance import FakeSnow

    (tmp_path / "snowflake").mkdir()
    monkeypatch.setattr(sys.modules["fakesnow.server"], "shared_fs", FakeSnow(db_path=tmp_path / "snowflake"))
    connection = snowflake.connector.connect(
        user="shop", password="none", account="fake", host="127.0.0.1", port=snowflake_port, protocol="http",
        session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
    )  # fmt: skip
    yield connection
    connection.close()


def replayed(n: int) -> dict[str, Counter[tuple[Any, ...]]]:
    """What the warehouses must hold after day `n`, from the generated days alone."""
    shop, held = Shop(CONFIG), {}
    for day in range(n + 1):
        for name, change in shop.day(day).changes.items():
            table = change.table
            if table.source not in WAREHOUSES:
                continue
            at = [table.names.index(column) for column in table.key]
            new = list(change.tuples())
            keys = {tuple(row[i] for i in at) for row in new} if not table.append else set()
            old = [r for r in held.get(name, []) if (k := tuple(r[i] for i in at)) not in keys or None in k]
            held[name] = old + new
    return {name: Counter(rows) for name, rows in held.items()}


def found(snowflake: Any, redshift: Any, folder: Path) -> dict[str, Counter[tuple[Any, ...]]]:
    import pyarrow.parquet as pq

    paths = snapshot(snowflake, redshift, folder)
    return {n: Counter(tuple(row.values()) for row in pq.read_table(path).to_pylist()) for n, path in paths.items()}


def test_days_are_applied_once_and_in_order(snowflake: Any, redshift: Any, tmp_path: Path) -> None:
    with pytest.raises(ShopError, match="day 0 is missing"):
        apply_day(snowflake, redshift, 1, CONFIG, manifests=tmp_path)
    apply_through(snowflake, redshift, 2, CONFIG, manifests=tmp_path)
    assert applied_days(snowflake, redshift) == {"snowflake": [0, 1, 2], "redshift": [0, 1, 2]}
    again = apply_day(snowflake, redshift, 1, CONFIG, manifests=tmp_path)
    assert [table.applied for table in again] == [False] * 5
    assert found(snowflake, redshift, tmp_path / "snapshot") == replayed(2)
    with pytest.raises(ShopError, match="holds another shop"):
        apply_day(snowflake, redshift, 3, ShopConfig(scale=0.1, seed=8), manifests=tmp_path)
    manifest = json.loads((tmp_path / "day-002.json").read_text())
    assert manifest["planted"] == [entry.as_json() for entry in Shop(CONFIG).manifest(2)]


def test_salesforce_and_the_rates_take_a_day_once_and_whole(
    snowflake: Any, redshift: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakehouse.sandbox.web import store

    web = tmp_path / "web" / "web.db"

    def content() -> list[str]:
        with store.opened(web) as db:
            return list(db.iterdump())

    apply_day(snowflake, redshift, 0, CONFIG, manifests=tmp_path, web=web)
    before = content()
    with monkeypatch.context() as patch:
        patch.setattr(store, "mark", lambda *of: die())
        with pytest.raises(Died):
            apply_day(snowflake, redshift, 1, CONFIG, manifests=tmp_path, web=web)
    assert content() == before
    apply_through(snowflake, redshift, 2, CONFIG, manifests=tmp_path, web=web)
    after = content()
    assert not any(
        table.applied for table in apply_through(snowflake, redshift, 2, CONFIG, manifests=tmp_path, web=web)
    )
    assert content() == after
    with store.opened(web) as db:
        assert sorted(store.held(db)) == [0, 1, 2]
        rates = dict(
            db.execute("SELECT currency, count(*) FROM fx_rates WHERE currency <> 'XXX' GROUP BY 1").fetchall()
        )
    assert rates.keys() == {"USD", "GBP"}
    with pytest.raises(ShopError, match="holds another shop"):
        apply_day(snowflake, redshift, 0, ShopConfig(scale=0.1, seed=8), manifests=tmp_path, web=web)


@pytest.mark.long(6)
@pytest.mark.parametrize("statements", [15, 24, 30, 31, 32])
def test_a_day_that_broke_off_is_applied_whole(snowflake: Any, redshift: Any, tmp_path: Path, statements: int) -> None:
    """The client dies while staging, between two tables, before and after the mark; nothing is rolled back."""
    apply_day(snowflake, redshift, 0, CONFIG, manifests=tmp_path)
    with pytest.raises(Died):
        apply_day(Mortal(snowflake, statements), redshift, 1, CONFIG, manifests=tmp_path)
    assert applied_days(snowflake, redshift)["redshift"] == [0]
    apply_day(snowflake, redshift, 1, CONFIG, manifests=tmp_path)
    assert found(snowflake, redshift, tmp_path / "snapshot") == replayed(1)


def test_redshift_takes_a_day_whole_or_not(
    snowflake: Any, redshift: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_A_STATEMENT", 100)
    with pytest.raises(Died):
        apply_day(snowflake, Mortal(redshift, 6), 0, CONFIG, manifests=tmp_path)
    assert applied_days(snowflake, redshift) == {"snowflake": [0], "redshift": []}
    apply_day(snowflake, redshift, 0, CONFIG, manifests=tmp_path)
    assert found(snowflake, redshift, tmp_path / "snapshot") == replayed(0)


class Died(BaseException):
    """The client is gone."""


def die() -> None:
    raise Died


class Mortal:
    """A connection whose cursors die after so many statements."""

    def __init__(self, connection: Any, statements: int) -> None:
        self._connection, self._left = connection, statements

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self) -> Any:
        return MortalCursor(self, self._connection.cursor())

    def spend(self) -> None:
        if not self._left:
            raise Died
        self._left -= 1


class MortalCursor:
    def __init__(self, owner: Mortal, cursor: Any) -> None:
        self._owner, self._cursor = owner, cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, *statement: Any) -> Any:
        self._owner.spend()
        return self._cursor.execute(*statement)
