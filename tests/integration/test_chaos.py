"""OPS-3: the daily run, upkeep, replays and backfills at once, and anything dies; content is that of quiet days.

`make chaos MINUTES=60` has every table and takes as long as it is told; here are some tables, and some minutes.
"""

from __future__ import annotations

import json
import os
import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import manifest
from lakehouse.books import books
from tests.integration.attempt import begin_command, end_of, warm_up
from tests.integration.chaos import Chaos, daily, difference, quietly
from tests.integration.conftest import Lakehouse, lake_at
from tests.integration.test_pipeline import put, things
from tests.platform import bring_back, service
from tests.shop import Sources, adopt

__all__ = ["things"]

MINUTES = float(os.environ.get("LAKEHOUSE_CHAOS_MINUTES") or 2)
SEED = int(os.environ.get("LAKEHOUSE_KILL_SEED") or 7)
#: Where the log of it goes, besides standard output.
LOG = os.environ.get("LAKEHOUSE_CHAOS_LOG")
#: Every source of the shop but the slowest, two models, and history.
SOME = (
    *("bronze.orders", "bronze.products", "bronze.vendor_prices", "bronze.fx_rates"),
    *("silver.products", "silver.exchange_rates", "gold.dim_product"),
)


@pytest.mark.long(MINUTES * 60 + 70)
@pytest.mark.timeout(MINUTES * 60 * 2 + 600)
def test_days_of_chaos_are_as_quiet_days(stand_ins: Path, tmp_path: Path) -> None:
    warm_up()
    until = time.monotonic() + MINUTES * 60
    whole = bool(LOG)
    log = Path(LOG or tmp_path / "chaos.jsonl")
    log.write_text("")
    began = datetime.now(UTC)

    def tell(event: str, **about: Any) -> None:
        line = {"at": f"{(datetime.now(UTC) - began).total_seconds():.1f}", "event": event, **about}
        print(json.dumps(line), flush=True)
        with log.open("a") as out:
            out.write(json.dumps(line) + "\n")

    sources = Sources(stand_ins, tmp_path / "sent")
    sources.clear()
    tables = [entry.name for entry in manifest.load().entries] if whole else SOME
    wild, calm = tmp_path / "chaos", tmp_path / "quiet"
    for home in (wild, calm):
        home.mkdir()
        with lake_at(home, stand_ins) as lake:
            adopt(lake.tables, *tables)
    chaos = Chaos(wild, stand_ins, random.Random(SEED), tell)
    tell("chaos", seed=SEED, minutes=MINUTES)
    number = 0
    while time.monotonic() < until:
        number += 1
        sources.live(number)
        with lake_at(calm, stand_ins):
            tell("day", number=number, lake="quiet")
            quietly(daily(number), calm / "said.txt")
        with lake_at(wild, stand_ins):
            tell("day", number=number, lake="chaos")
            chaos.day(number, until)
            names = [entry.name for entry in manifest.load().entries if entry.name.startswith("bronze.")]
            told = {name: books(name) for name in names}
            assert {name: book.faults for name, book in told.items() if book.faults} == {}
            assert {name: book.total.difference for name, book in told.items() if book.total.difference} == {}
        apart = difference(wild, calm)
        tell("compared", day=number, different=apart)
        assert apart == {}
    tell("over", days=number, **dict(sorted(chaos.count.items())))
    sources.clear()
    assert chaos.count["Spark killed"]
    assert sum(count for what, count in chaos.count.items() if what.endswith(" killed") and what != "Spark killed")


@pytest.mark.long(30)
def test_a_server_that_ends_under_a_gate_is_told_as_that(things: Lakehouse, stand_ins: Path, tmp_path: Path) -> None:
    """Neither as a stack trace nor as the fault of a rule."""
    put(things, (1, "2025-10-01 10:00:00", 1, "a"))
    said = tmp_path / "said.txt"
    words, pid = ["run", "bronze.things"], service(stand_ins, "spark").pid
    assert end_of(begin_command(words, said, table="bronze.things", statement="dq_gate 1", pid=pid)) == 1
    bring_back(stand_ins)
    assert "ended meanwhile" in said.read_text()
    assert "type the command again" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert end_of(begin_command(words, said)) == 0
    assert len(things.rows("bronze.things")) == 1
