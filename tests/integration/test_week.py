"""A week of the shop with planted faults, from every source: what is set aside is what was planted, and books balance.

Loads of a day run beside each other, as the scheduler has them, and set rows aside in one quarantine.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import ledger, paths, quarantine
from lakehouse.books import Books, books
from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.delta import latest_version, read_rows
from tests.integration.attempt import begin, end_of, warm_up
from tests.integration.conftest import Lakehouse, lake_at
from tests.integration.test_replay import quiet, run
from tests.shop import CONFIG, Sources, adopt

pytestmark = pytest.mark.long(200)

__all__ = ["quiet"]

#: At least one table of every source; `make thorough` takes all there are.
SOME = (
    *("orders", "order_items", "behavior_events", "vendor_prices"),
    *("salesforce_contacts", "salesforce_opportunities", "fx_rates"),
)
ALL = sorted(folder.name for folder in (PROJECT / "include" / "tables" / "bronze").iterdir())
TABLES = [f"bronze.{name}" for name in (ALL if os.environ.get("LAKEHOUSE_WEEK") == "all" else SOME)]
DAYS = range(1, 8)
#: Tables whose broken rows somebody repairs the next day, and some whose sources keep them: loaded every evening.
DAILY = {"bronze.orders", "bronze.customers", "bronze.behavior_events", "bronze.vendor_prices"}
#: Evenings on which the others are loaded too; what they missed is caught up.
EVENINGS = (1, 4, 7)
#: Loads at once.
WORKERS = 2
#: Table, rule, key without its nulls and the cursor, cursor.
Fault = tuple[str, str, str, datetime | None]


@pytest.fixture(scope="module")
def week(stand_ins: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lakehouse, Sources]]:
    """Seven days, loaded evening by evening; the first brings the shop's history along."""
    warm_up()
    home = tmp_path_factory.mktemp("week")
    sources = Sources(stand_ins, home / "sent")
    with lake_at(home, stand_ins) as lake:
        sources.clear()
        adopt(lake.tables, *TABLES)
        for day in DAYS:
            sources.live(day)
            low, high = (moment.isoformat() for moment in CONFIG.window(day))
            due = [table for table in TABLES if day in EVENINGS or table in DAILY]
            with ThreadPoolExecutor(WORKERS) as pool:
                ends = pool.map(lambda table, low=low, high=high: end_of(begin(table, low, high)), due)  # type: ignore[misc]
                assert dict(zip(due, ends, strict=True)) == dict.fromkeys(due, 0)
        yield lake, sources
        sources.clear()


def planted(sources: Sources) -> Counter[Fault]:
    """What the manifests say was planted, in the contracts' words."""
    days = [json.loads((sources.manifests / f"day-{n:03d}.json").read_text())["planted"] for n in range(8)]
    # The history and the first day were in the sources before the first load: what that day repaired nobody saw.
    unseen = {(fault["table"], str(fault["key"])) for fault in days[1] if fault["kind"] == "repaired"}
    found: Counter[Fault] = Counter()
    for n, faults in enumerate(days):
        for fault in faults:
            table = f"bronze.{fault['table']}"
            seen = not (n == 0 and (fault["table"], str(fault["key"])) in unseen)
            if fault["rule"] and seen and table in TABLES:
                contract = load_contract(paths.contract_folder(table))
                names = {column.source_name.lower(): column.name for column in contract.columns}
                key = {names[name.lower()]: value for name, value in fault["key"].items()}
                moment = datetime.fromisoformat(fault["cursor"]).replace(tzinfo=UTC)
                found[table, fault["rule"], key_text(table, key), moment] += 1
    for n in range(8):
        for file in json.loads((sources.manifests / f"files-{n:03d}.json").read_text())["files"]:
            if file["rule"]:
                _, vendor, name = file["key"].split("/")
                key = {"vendor": vendor, "price_date": name.partition(".")[0]}
                found["bronze.vendor_prices", file["rule"], key_text("bronze.vendor_prices", key), None] += 1
    return found


def held() -> Counter[Fault]:
    """What quarantine holds: every row with each of its reasons."""
    return Counter(
        (row["table"], reason, key_text(row["table"], json.loads(row["key"])), row["cursor"])
        for row in read_rows(paths.ops("quarantine"))
        for reason in row["reasons"]
    )


def key_text(table: str, key: dict[str, Any]) -> str:
    source = load_contract(paths.contract_folder(table)).source
    assert source
    return json.dumps({k: v for k, v in key.items() if v is not None and k != source.cursor}, sort_keys=True)


def balanced() -> dict[str, Books]:
    """The books of every table, by load and in total."""
    found = {table: books(table) for table in TABLES}
    for table, book in found.items():
        assert book.faults == (), table
        assert [load.difference for load in (*book.loads, book.total)] == [0] * (len(book.loads) + 1), table
    assert all(told["balanced"] for told in run("books"))
    return found


def test_what_was_planted_is_what_is_set_aside(week: tuple[Lakehouse, Sources]) -> None:
    """CON-2, CON-3: by table, rule and key, each once; the error lane holds the same rows."""
    _, sources = week
    expected = planted(sources)
    # Nothing is planted in accounts.
    assert {table for table, *_ in expected} == {*TABLES} - {"bronze.salesforce_accounts"}
    assert held() == expected
    lanes = Path(paths.lake(), "_errors").rglob("*.json")
    assert sum(len(lane.read_text().splitlines()) for lane in lanes) == expected.total()


def test_books_balance_before_and_after_replays(week: tuple[Lakehouse, Sources]) -> None:
    """CON-4, CON-5: also after rows are judged again or given up, and after a load is loaded again."""
    lake, sources = week
    expected, found = planted(sources), balanced()
    for table, book in found.items():
        evenings = DAYS if table in DAILY else EVENINGS
        assert [load.state for load in book.loads] == ["published"] * len(evenings), table
        assert book.total.parts["inserted"] == len(read_rows(paths.table(table))) > 0
        aside = sum(count for (name, *_), count in expected.items() if name == table)
        assert book.total.parts["quarantined"] == aside == sum(book.quarantine.values())
    events = lake.rows("bronze.behavior_events"), latest_version(paths.table("bronze.behavior_events"))

    # Another currency is welcome from now on: its orders pass. Lines without a quantity are given up.
    contract = lake.tables / "bronze" / "orders" / "contract.odcs.yaml"
    contract.write_text(contract.read_text().replace("[USD, EUR, GBP]", "[USD, EUR, GBP, XXX]"))
    strange = sum(
        n for (table, rule, *_), n in expected.items() if (table, rule) == ("bronze.orders", "currency_known")
    )
    (done,) = run("quarantine", "replay", "--table", "orders", "--rule", "currency_known")
    assert (done["new"], done["quarantined"]) == (strange, 0)
    given_up = sum(n for (_, rule, *_), n in expected.items() if rule == "quantity_positive")
    words = ["--table", "order_items", "--rule", "quantity_positive", "--reason", "never sold", "--yes"]
    assert f"{given_up} rows of bronze.order_items discarded" in run("quarantine", "discard", *words, plain=True)
    # A day of events once more, from its landing files: nothing is new.
    (again,) = run("replay", "behavior_events", "--start", "2025-10-04", "--end", "2025-10-04")
    assert (again["new"], again["duplicates"] > 0) == (0, True)
    assert (lake.rows("bronze.behavior_events"), latest_version(paths.table("bronze.behavior_events"))) == events

    after = balanced()
    total = found["bronze.orders"].total.parts["quarantined"]
    assert after["bronze.orders"].quarantine == {"open": total - strange, "replayed": strange, "discarded": 0}
    replayed = after["bronze.orders"].loads[-1]
    # All but the last day's were repaired since, so a newer state of them is there.
    assert replayed.parts["inserted"] + replayed.parts["superseded"] == strange
    assert replayed.parts["superseded"] == strange - 1
    total = found["bronze.order_items"].total.parts["quarantined"]
    assert after["bronze.order_items"].quarantine == {"open": total - given_up, "replayed": 0, "discarded": given_up}
    assert after["bronze.behavior_events"].loads[-1].kind == "replay"
    assert len(ledger.read("bronze.orders")) > len(DAYS)
    assert len(quarantine.kept(quarantine.Choice(status="open"))) == expected.total() - strange - given_up
    # What was set aside stays on record as it was.
    assert held() == expected
