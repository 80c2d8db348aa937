"""How rows of quarantine stand, by verdicts and published loads (CON-4), and the arithmetic of the books (CON-5)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import structlog
from typer.testing import CliRunner

from lakehouse import books, config, ledger, log, paths, quarantine
from lakehouse.bronze import verdicts
from lakehouse.bronze.verdicts import discard_rows
from lakehouse.cli import confirm
from lakehouse.cli.main import app
from lakehouse.cli.quarantine import NothingChosen
from lakehouse.delta import append_rows, latest_version, revert
from lakehouse.errors import LakehouseError
from lakehouse.ledger.events import Event
from lakehouse.quarantine import Choice, kept

TABLE = "bronze.orders"
NOON = datetime(2025, 10, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three rows of bronze.orders in quarantine: a1 and a2 by one batch, b1 by another."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.delenv("LAKEHOUSE_TABLES", raising=False)
    config.settings.cache_clear()
    log.configure(tmp_path / "lakehouse.jsonl")
    rows = [
        {
            "quarantine_id": name,
            "table": TABLE,
            "batch_id": f"batch-{name[0]}",
            "load": 1,
            "quarantined_ts": NOON,
            "key": f'{{"order_id":{name[1]}}}',
            "cursor": None,
            "reasons": ["status_known"],
            "row": f'{{"order_id":{name[1]},"status":"lost"}}',
        }
        for name in ("a1", "a2", "b1")
    ]
    fields = [(n, pa.string()) for n in ("quarantine_id", "table", "batch_id", "key", "row")]
    moment = pa.timestamp("us", tz="UTC")
    fields += [("load", pa.int64()), ("quarantined_ts", moment), ("cursor", moment), ("reasons", pa.list_(pa.string()))]
    append_rows(paths.ops("quarantine"), pa.Table.from_pylist(rows, pa.schema(fields)), partition_by=("table",))
    yield
    structlog.reset_defaults()
    config.settings.cache_clear()


def say(name: str, verdict: str, *, reasons: tuple[str, ...] = (), load: int = 1, hour: int = 0) -> None:
    """A verdict by load `load` of the batch `again`."""
    row = {"verdict_ts": NOON + timedelta(hours=hour), "quarantine_id": name, "table": TABLE, "verdict": verdict}
    row |= {"reasons": list(reasons), "batch_id": "again", "load": load, "contract": "", "who": "", "reason": ""}
    row |= {"trace_id": ""}
    rows = pa.Table.from_pylist([row], schema=verdicts.schema())
    append_rows(paths.ops("verdicts"), rows, partition_by=("table",))


def event(name: str, batch: str = "again", load: int = 1, **counts: int) -> Event:
    return Event(name, TABLE, batch, load, "", "r", "replay", counts=counts)  # type: ignore[arg-type]


def statuses() -> dict[str, str]:
    return {row.quarantine_id: row.status for row in kept(Choice(TABLE))}


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["quarantine", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def test_a_row_that_passed_is_replayed_once_its_load_is_published() -> None:
    say("a1", "passed")
    say("a1", "passed", hour=1)  # Another attempt at the same load says it again.
    assert statuses() == {"a1": "open", "a2": "open", "b1": "open"}
    ledger.append(event("held"))
    assert statuses()["a1"] == "open"
    ledger.append(event("published"))
    assert statuses() == {"a1": "replayed", "a2": "open", "b1": "open"}


def test_a_row_is_open_again_once_its_replay_is_taken_back() -> None:
    """CON-4: what `lakehouse revert` takes out of the table is in quarantine and nowhere else."""
    path = paths.table(TABLE)
    append_rows(path, pa.table({"order_id": [0]}))
    append_rows(path, pa.table({"order_id": [1]}))
    say("a1", "passed")
    ledger.append(replace(event("published"), version=latest_version(path)))
    assert statuses()["a1"] == "replayed"
    taken = revert(path, latest_version(path), {})
    assert statuses()["a1"] == "open"
    revert(path, taken.version, {})
    assert statuses()["a1"] == "replayed"


def test_a_moment_beyond_the_calendar_stops_nobody_from_looking() -> None:
    """A source's clock may say year 45931: the row is as it landed, and is listed without a cursor."""
    far = pa.array([1_387_000_000_000_000_000], pa.timestamp("us", tz="UTC"))
    one = pa.Table.from_pylist([{"quarantine_id": "c1", "table": TABLE, "batch_id": "far", "load": 1, "key": "{}"}])
    one = one.append_column("cursor", far).append_column("quarantined_ts", pa.array([NOON], far.type))
    append_rows(paths.ops("quarantine"), one.append_column("reasons", pa.array([["at_type"]])), partition_by=("table",))
    assert {row.quarantine_id: row.cursor for row in kept(Choice(TABLE))}["c1"] is None


def test_a_row_that_failed_again_has_the_newest_reasons() -> None:
    say("a1", "failed", reasons=("currency_known",), hour=1)
    say("a1", "failed", reasons=("status_known", "currency_known"), hour=2)
    (row,) = kept(Choice(TABLE, status="open", rule="currency_known"), rows=True)
    assert row.reasons == ("status_known", "currency_known")
    assert json.loads(row.row)["status"] == "lost"
    assert quarantine.failed_again(TABLE) == {("again", 1): 1}


def test_a_row_given_up_stays_so_unless_it_is_in_the_table() -> None:
    discard_rows(TABLE, ["a1", "a2"], "ann", "test orders")
    say("a2", "passed", hour=999)
    assert statuses() == {"a1": "discarded", "a2": "discarded", "b1": "open"}
    ledger.append(event("published"))
    assert statuses()["a2"] == "replayed"


def test_rows_are_chosen_by_table_batch_rule_and_id() -> None:
    assert [row.quarantine_id for row in kept(Choice(batch="batch-a"))] == ["a1", "a2"]
    assert [row.quarantine_id for row in kept(Choice(id="b"))] == ["b1"]
    assert kept(Choice(TABLE, rule="no_such_rule")) == []
    assert kept(Choice("bronze.products")) == []


def test_the_command_line_lists_shows_and_discards(monkeypatch: pytest.MonkeyPatch) -> None:
    (group,) = json.loads(run("list", "-o", "json"))
    assert (group["rows"], group["reasons"], group["status"]) == (3, "status_known", "open")
    with pytest.raises(confirm.NotConfirmed):
        run("discard", "--table", "orders", "--batch", "batch-a", "--reason", "test orders")
    with pytest.raises(NothingChosen, match="without a reason"):
        run("discard", "--table", "orders", "--reason", " ", "--yes")
    assert "2 rows" in run("discard", "--table", "orders", "--batch", "batch-a", "--reason", "test orders", "--yes")
    (shown,) = json.loads(run("show", "a1", "-o", "json"))
    assert (shown["status"], shown["row"]["status"], shown["verdicts"][0]["reason"]) == (
        "discarded",
        "lost",
        "test orders",
    )
    assert "test orders" in run("show", "a1")
    assert [row["status"] for row in json.loads(run("list", "--rows", "--status", "all", "-o", "json"))] == [
        "discarded",
        "discarded",
        "open",
    ]
    with pytest.raises(NothingChosen, match="no open row"):
        run("discard", "--table", "orders", "--batch", "batch-a", "--reason", "again", "--yes")
    with pytest.raises(NothingChosen, match="Several rows begin"):
        run("show", "a")
    with pytest.raises(LakehouseError, match="no status 'gone'"):
        run("list", "--status", "gone")


def test_a_load_is_in_the_books_as_it_ended() -> None:
    counts = {"extracted": 10, "inserted": 4, "duplicates": 3, "superseded": 1, "quarantined": 2, "discarded": 0}
    ledger.append(
        event("started", "p"), event("held", "p", **counts), event("published", "p", **counts),
        event("started", "h"), event("held", "h", **counts),
        event("started", "f"), event("failed", "f", extracted=10, quarantined=9),
        event("started", "o"),
        replace(event("published", "r", **counts), version=7),
    )  # fmt: skip
    loads = {load.batch_id: load for load in books._loads(ledger.read(TABLE), {7})}
    told = {name: (load.state, load.difference, load.parts["held"]) for name, load in loads.items()}
    assert told == {
        "p": ("published", 0, 0),
        "h": ("held", 0, 5),
        "f": ("failed", 0, 1),
        "o": ("open", 0, 0),
        "r": ("reverted", 0, 0),
    }
    assert books._told(loads.values()) == {"p": 5}
    assert list(books._unbalanced(list(loads.values()))) == []


@pytest.mark.parametrize("change", [{"extracted": 11}, {"duplicates": -1, "inserted": 8}])
def test_rows_unaccounted_for_are_told(change: dict[str, int]) -> None:
    counts: dict[str, Any] = {"extracted": 10, "inserted": 4, "duplicates": 3, "superseded": 1, "quarantined": 2}
    (load,) = books._loads([event("published", "p", **{**counts, **change})], set())
    (fault,) = books._unbalanced([load])
    assert fault.startswith("p load 1: extracted 1")
