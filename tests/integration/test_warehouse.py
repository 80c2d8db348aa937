"""Gold to Snowflake through its real connector: what is there afterwards is what the lake holds, whoever dies when."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from deltalake import Field, Schema
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from typer.testing import CliRunner

from lakehouse import connections, killpoints, warehouse
from lakehouse.cli.main import app
from lakehouse.config import settings
from lakehouse.delta import store
from lakehouse.delta.log import commit_file
from lakehouse.sandbox.some import serving
from lakehouse.warehouse import lake, statements, transfer
from tests.warehouse import CONTROL, TARGET, Things, ask, attempt, control, there

POINTS = [point for point in killpoints.POINTS if point.startswith("warehouse.")]


@pytest.fixture(scope="module", autouse=True)
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("warehouse")
    with pytest.MonkeyPatch.context() as patch, serving(home, "snowflake") as env:
        for name, value in env.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Things]:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKEHOUSE_TABLES", str(tmp_path / "tables"))
    settings.cache_clear()
    ask("DROP SCHEMA IF EXISTS LAKEHOUSE_GOLD CASCADE")
    made = Things(tmp_path)
    made.make()
    made.upsert({(1, "a"): "one", (2, "a"): "two", (2, "b"): None, (3, "a"): "it's 100% \\ ü\n"})
    yield made
    settings.cache_clear()


def test_the_first_time_goes_whole_and_then_what_changed(things: Things):
    first = things.publish()
    assert (first.state, first.why, first.sent, first.rows) == ("whole", "it is the first time", 4, 4)
    assert there() == things.rows()
    things.upsert({(1, "a"): "uno", (4, "a"): "four"})
    things.upsert({(1, "a"): "eins"})
    things.delete((2, "a"))
    things.optimize()
    second = things.publish()
    assert (second.state, second.since, second.version) == ("changes", first.version, things.version)
    assert second.sent == 4, "an update, an insert, an update, a delete"
    assert there() == things.rows()
    assert len(there()) == 4
    assert control() == (things.version, 4)


def test_nothing_new_is_nothing_done(things: Things):
    things.publish()
    before = ask(f"SELECT * FROM {CONTROL}")
    assert things.publish().state == "nothing"
    assert ask(f"SELECT * FROM {CONTROL}") == before


def test_a_row_that_goes_and_comes_again(things: Things):
    things.publish()
    things.delete((1, "a"))
    things.upsert({(1, "a"): "back"})
    things.delete((3, "a"))
    things.upsert({(9, "z"): "came"})
    things.delete((9, "z"))
    assert things.publish().state == "changes"
    assert there() == things.rows()


def test_a_rebuilt_table_is_still_a_difference(things: Things):
    things.publish()
    things.rebuild({(1, "a"): "anew", (7, "a"): "seven"})
    assert things.publish().state == "changes"
    assert there() == things.rows()


def test_a_table_that_is_empty(things: Things):
    things.publish()
    for key in ((1, "a"), (2, "a"), (2, "b"), (3, "a")):
        things.delete(key)
    things.publish()
    assert there() == []
    assert control() == (things.version, 0)


@pytest.mark.long(6)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("first", [True, False], ids=["whole", "changes"])
def test_whoever_dies_anywhere_the_next_attempt_ends_right(things: Things, point: str, first: bool):
    before: list[Any] = []
    if not first:
        things.publish()
        before = there()
        things.upsert({(1, "a"): "uno", (4, "a"): "four"})
        things.delete((2, "a"))
    process = attempt(things, kill=point)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    after = things.rows() if point == "warehouse.committed" else before
    assert (there() if ask("SHOW TABLES LIKE 'THINGS' IN SCHEMA SHOP.LAKEHOUSE_GOLD") else []) == after
    assert things.publish().state == ("nothing" if point == "warehouse.committed" else "whole" if first else "changes")
    assert there() == things.rows()
    assert control() == (things.version, len(things.rows()))


def test_two_at_once_send_it_once(things: Things):
    things.publish()
    things.upsert({(n, "x"): f"row {n}" for n in range(200)})
    both = [attempt(things), attempt(things)]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert there() == things.rows()
    assert control() == (things.version, 203 + 1)


@pytest.mark.long(6)
@pytest.mark.parametrize("asleep", ["staged", "locked", "merged", "reconciled", "recorded"])
def test_who_sleeps_through_another_attempt_changes_nothing(
    things: Things, monkeypatch: pytest.MonkeyPatch, asleep: str
):
    """Snowflake ends the sleeper's transaction; its statements then run outside of any, one by one."""
    things.publish()
    things.upsert({(1, "a"): "old news", (4, "a"): "gone soon"})

    def meanwhile(point: str) -> None:
        if point == f"warehouse.{asleep}":
            monkeypatch.setattr(transfer, "reach", lambda point: None)
            things.upsert({(1, "a"): "new"})
            things.delete((4, "a"))
            assert things.publish().state == "changes"
            told.append((there(), control()))

    told: list[Any] = []
    monkeypatch.setattr(transfer, "reach", meanwhile)
    assert things.publish().state == "nothing", "it was overtaken, and looked again"
    assert [(there(), control())] == told
    assert there() == things.rows()


def test_a_lock_that_nobody_gives_back_is_told(things: Things, monkeypatch: pytest.MonkeyPatch):
    things.publish()
    things.upsert({(1, "a"): "uno"})
    short = settings().warehouse.model_copy(update={"lock_timeout_seconds": 1})
    monkeypatch.setattr(transfer, "settings", lambda: type("S", (), {"warehouse": short}))
    with closing(connections.open_source("snowflake_default")) as other, other.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute(f"UPDATE {CONTROL} SET ATTEMPT = 'other'")
        with pytest.raises(warehouse.WarehouseFailed, match="not over in time") as told:
            things.publish()
        assert "SYSTEM$ABORT_TRANSACTION" in str(told.value)
        cursor.execute("ROLLBACK")
    assert things.publish().state == "changes"


@pytest.mark.parametrize(
    ("tampered", "named"),
    [
        (f'DELETE FROM {TARGET} WHERE "ID" = 3', "rows: 4 in the lake, 3 there"),
        (f'UPDATE {TARGET} SET "AMOUNT" = "AMOUNT" + 1 WHERE "ID" = 3', "sum of amount"),
    ],
)
def test_what_does_not_add_up_is_not_committed(things: Things, tampered: str, named: str):
    things.publish()
    ask(tampered)
    before, at = there(), control()
    things.upsert({(1, "a"): "uno"})
    with pytest.raises(warehouse.Mismatch, match=named) as told:
        things.publish()
    assert "gold.things" in str(told.value) and "--whole" in told.value.remedy
    assert (there(), control()) == (before, at)
    assert things.publish(whole=True).why == "it was asked for"
    assert there() == things.rows()


def test_a_new_column_goes_whole(things: Things):
    things.publish()
    things.contract(extra="STRING")
    assert things.publish().state == "nothing", "the lake does not have it yet"
    text = Schema.from_arrow(pa.schema([("extra", pa.string())])).fields[0].type
    store.delta_table(things.path).alter.add_columns([Field("extra", text)])
    done = things.publish()
    assert (done.state, done.why) == ("whole", "its columns or key changed")
    assert ask(f'SELECT COUNT(*), COUNT("EXTRA") FROM {TARGET}') == [(4, 0)]
    assert there() == things.rows()


def test_another_type_is_refused_until_the_table_is_out_of_the_way(things: Things):
    things.publish()
    ask(f"DROP TABLE {TARGET}")
    ask(f'CREATE TABLE {TARGET} ("ID" NUMBER(19,0), "PART" VARCHAR, "AMOUNT" VARCHAR)')
    things.upsert({(1, "a"): "uno"})
    with pytest.raises(warehouse.ColumnConflict, match=r"AMOUNT is TEXT, and .* makes it NUMBER\(18,2\)"):
        things.publish()
    ask(f"DROP TABLE {TARGET}")
    assert things.publish().why == "it is the first time"
    assert there() == things.rows()


def test_a_feed_that_is_gone_goes_whole(things: Things):
    things.publish()
    things.upsert({(1, "a"): "uno"})
    things.upsert({(1, "a"): "eins"})
    store.delta_table(things.path).create_checkpoint()
    Path(commit_file(things.path, things.version - 1)).unlink()
    done = things.publish()
    assert (done.state, done.why) == (
        "whole",
        f"the changes are gone: version {things.version - 1} is no longer in the log",
    )
    assert there() == things.rows()


def test_a_table_made_anew_goes_whole(things: Things):
    things.publish()
    shutil.rmtree(things.path)
    things.make()
    things.upsert({(5, "a"): "five"})
    things.upsert({(6, "a"): "six"})
    assert things.publish().why == "the table in the lake was made anew"
    assert there() == things.rows()


def test_many_parts_are_one_version(things: Things, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transfer.parts, "send", partial(transfer.parts.send, part=1))
    monkeypatch.setattr(lake, "ROWS", 50)
    things.upsert({(n, "x"): f"row {n}" for n in range(500)})
    assert things.publish().sent == 504
    assert there() == things.rows()


def test_nothing_is_left_lying_about(things: Things):
    things.publish()
    things.upsert({(1, "a"): "uno"})
    things.publish()
    names = {
        row[0]
        for row in ask("SELECT TABLE_NAME FROM SHOP.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'LAKEHOUSE_GOLD'")
    }
    assert names == {"THINGS", statements.CONTROL}


def told(*words: str) -> dict[str, Any]:
    """The one row that a command answers with."""
    ran = CliRunner().invoke(app, ["warehouse", *words, "--output", "json"])
    assert ran.exception is None, ran.exception
    # Logs go to standard output too, where nobody has configured them.
    (row,) = json.loads(ran.stdout[ran.stdout.index("[\n") :])
    return row


def test_on_the_command_line(things: Things):
    assert told("status")["next"] == "whole: it is the first time"
    row = told("publish", "gold.things")
    assert (row["table"], row["target"], row["state"], row["rows"]) == ("gold.things", TARGET, "whole", 4)
    row = told("status", "gold.*")
    assert (row["version"], row["version_there"], row["rows_there"], row["next"]) == (1, 1, 4, "nothing")
    things.upsert({(1, "a"): "uno"})
    assert told("status")["next"] == "changes"
    assert told("publish", "gold.things", "--whole")["why"] == "it was asked for"
    things.contract(custom="  - {property: warehouse, value: false}")
    refused = CliRunner().invoke(app, ["warehouse", "publish", "gold.things"])
    assert isinstance(refused.exception, warehouse.NotPublished)


KEYS = st.tuples(st.integers(1, 4), st.sampled_from("ab"))
STEPS = st.one_of(
    st.tuples(st.just("upsert"), st.dictionaries(KEYS, st.sampled_from([None, "x", "yy", "z'"]), min_size=1)),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("rebuild"), st.dictionaries(KEYS, st.sampled_from(["r", "s"]), min_size=1)),
    st.tuples(st.just("optimize"), st.none()),
    st.tuples(st.just("publish"), st.sampled_from([None, *POINTS])),
)


class Died(BaseException):
    """An attempt broke off."""


@pytest.mark.long(14)
@settings_of_hypothesis(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=8))
def test_whatever_happens_in_whatever_order_the_warehouse_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, Any]]
):
    home = tmp_path / uuid4().hex
    monkeypatch.setenv("LAKEHOUSE_HOME", str(home))
    monkeypatch.setenv("LAKEHOUSE_TABLES", str(home / "tables"))
    settings.cache_clear()
    ask("DROP SCHEMA IF EXISTS LAKEHOUSE_GOLD CASCADE")
    things = Things(home)
    things.make()
    held: list[Any] = []
    for what, how in [*steps, ("publish", None)]:
        if what == "optimize":
            things.optimize()
        elif what != "publish":
            getattr(things, what)(how)
        else:
            died, before = False, held

            def reach(point: str, at: str | None = how) -> None:
                if point == at:
                    raise Died

            monkeypatch.setattr(transfer, "reach", reach)
            try:
                things.publish()
            except Died:
                died = True
            held = there() if ask("SHOW TABLES LIKE 'THINGS' IN SCHEMA SHOP.LAKEHOUSE_GOLD") else []
            assert held == things.rows() or (died and held == before), "a version whole, or the one before"
    assert held == things.rows()
    assert control() == (things.version, len(held))
