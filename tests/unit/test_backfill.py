"""What a backfill would do, by the names and days people type; and that the same words are the same backfill."""

from __future__ import annotations

import runpy
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse import backfill, ledger, paths
from lakehouse.backfill import record
from lakehouse.backfill.names import NameUnclear, below, roots
from lakehouse.config import settings
from lakehouse.errors import LakehouseError
from lakehouse.ledger.events import Event
from lakehouse.ledger.windows import Window
from lakehouse.manifest import Entry, Manifest, ManifestError, load
from tests.unit.test_requirements_doc import problem

SCRIPT = Path(__file__).parents[2] / "scripts" / "maintenance" / "backfill_range.py"
DEFAULTS = ["--from", "bronze", "--chunk-days", "31", "--output", "table"]
DAYS = ["--start", "2025-10-01", "--end", "2025-10-31"]


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty lake, and the shop's tables."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    yield load()
    settings.cache_clear()


def entry(name: str, *reads: str, connection: str = "", group: str = "") -> Entry:
    layer, _, table = name.partition(".")
    return Entry(name, layer, table, "", reads, (), "", "", "", (), "", group, connection, "", 0.0)


GRAPH = Manifest(
    (
        entry("bronze.orders", connection="x"),
        entry("bronze.rates", connection="x"),
        entry("silver.orders", "bronze.orders"),
        entry("silver.sums", "bronze.rates"),
        entry("gold.dates", group="star"),
        entry("gold.facts", "silver.orders", group="star"),
        entry("gold.sums", "silver.sums"),
    )
)


def day(number: int) -> datetime:
    return datetime(2025, 10, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["orders"], ["bronze.orders"]),
        (["silver.orders"], ["silver.orders"]),
        (["facts, rates"], ["gold.facts", "bronze.rates"]),
        (["orders", "bronze.orders"], ["bronze.orders"]),
        (["bronze.*"], ["bronze.orders", "bronze.rates"]),
    ],
)
def test_names_are_the_source_table_or_what_they_say(typed: list[str], meant: list[str]) -> None:
    assert roots(GRAPH, typed) == meant


def test_a_name_of_several_tables_lists_them() -> None:
    with pytest.raises(NameUnclear, match=r"'sums' is the name of 2 tables.\n  -> Name one of: silver.sums, gold.sums"):
        roots(GRAPH, ["sums"])
    with pytest.raises(ManifestError, match="Did you mean"):
        roots(GRAPH, ["order"])
    with pytest.raises(NameUnclear, match="--table"):
        roots(GRAPH, [])


def test_below_is_what_reads_it_with_whole_groups() -> None:
    assert [e.name for e in below(GRAPH, ["bronze.orders"])] == [
        "bronze.orders", "silver.orders", "gold.dates", "gold.facts"
    ]  # fmt: skip
    assert [e.name for e in below(GRAPH, ["silver.sums"])] == ["silver.sums", "gold.sums"]


def request(tables: str, *days: int, **more: Any) -> backfill.Request:
    return backfill.Request((tables,), Window(day(days[0]), day(days[1])), **more)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request("orders", 2, 1), "is not before"),
        (request("silver.orders", 1, 2, origin="source"), r"no source.*\n.*bronze.orders"),
        (request("orders", 1, 2, origin="source", as_of=day(3)), "--as-of"),
        (backfill.Request(("orders",), Window(day(1), datetime(2199, 1, 1, tzinfo=UTC))), "yet to come"),
    ],
)
def test_what_cannot_be_is_refused(lake: Manifest, asked: backfill.Request, why: str) -> None:
    with pytest.raises(backfill.BackfillRefused, match=f"(?s){why}"):
        backfill.plan(lake, asked)


@pytest.mark.parametrize("words", [("", "2025-10-01"), ("2025-10-01", ""), ("1 October", "2025-10-02")])
def test_days_that_are_none_are_refused(words: tuple[str, str]) -> None:
    with pytest.raises(LakehouseError, match="->"):
        backfill.Request.typed(["orders"], *words)


def loaded(low: int, high: int, seconds: int) -> list[Event]:
    """A load of bronze.orders that took so long."""
    told = {"table": "bronze.orders", "batch_id": f"b{low}", "load": 1, "attempt": "", "run_id": "r", "kind": "manual"}
    began = datetime(2026, 1, low, tzinfo=UTC)
    windows = (Window(day(low), day(high)),)
    return [
        Event("started", **told, windows=windows, event_ts=began),
        Event("published", **told, windows=windows, event_ts=began + timedelta(seconds=seconds)),
    ]


def test_gaps_are_loaded_in_chunks_and_time_is_judged_by_earlier_loads(lake: Manifest) -> None:
    ledger.append(*loaded(3, 5, 60))
    first, *others = backfill.plan(lake, request("orders", 1, 9, origin="source", chunk=timedelta(days=3))).steps
    assert first.windows == (Window(day(1), day(3)), Window(day(5), day(8)), Window(day(8), day(9)))
    assert (first.action, first.seconds) == ("load", 180.0)
    assert {step.action for step in others} == {"compute"}
    # Staged it is one batch, which a branch can hold.
    staged = backfill.plan(lake, request("orders", 1, 9, origin="source", stage=True)).steps[0]
    assert staged.windows == (Window(day(1), day(9)),)
    covered = backfill.plan(lake, request("orders", 3, 5, origin="source")).steps[0]
    assert (covered.action, covered.to_row()["does"]) == ("", "nothing")


def test_the_same_words_go_on_with_the_same_backfill_until_it_ended(lake: Manifest) -> None:
    plan = backfill.plan(lake, request("orders", 1, 2))
    one = record.begin(plan)
    assert record.begin(plan) == one
    assert record.begin(backfill.plan(lake, request("orders", 1, 3))).backfill_id != one.backfill_id
    record.append("published", one.backfill_id, one.request, one.tables)
    assert record.begin(plan).backfill_id != one.backfill_id
    assert record.one(one.backfill_id[:8]).state == "published"
    for beginning in ("", "nonsense"):
        with pytest.raises(backfill.BackfillRefused, match="No backfill begins"):
            record.one(beginning)


def test_a_plan_changes_nothing(lake: Manifest) -> None:
    backfill.plan(lake, request("orders", 1, 2))
    assert not Path(paths.lake()).exists()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["--table", "orders", *DAYS, "--confirm"], ["--table", "orders", *DAYS, *DEFAULTS, "--confirm"]),
        (
            ["--table", "orders", "rates", *DAYS, "--from", "source", "--stage", "--output", "json"],
            [
                *("--table", "orders", "--table", "rates", *DAYS),
                *("--from", "source", "--chunk-days", "31", "--output", "json", "--stage"),
            ],
        ),
    ],
)
def test_the_script_says_what_the_command_takes(typed: list[str], meant: list[str]) -> None:
    found = runpy.run_path(str(SCRIPT))["arguments"](typed)
    assert found == ["backfill", *meant]
    assert problem(shlex.join(["lakehouse", *found])) == ""
