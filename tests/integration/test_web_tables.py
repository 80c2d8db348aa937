"""The tables of Salesforce and of the rates API through extract, bronze, gate and publish, over days of the shop."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse import paths
from lakehouse.config import PROJECT
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.shop import Shop
from lakehouse.sandbox.web import store
from tests.integration.conftest import Lakehouse

pytestmark = pytest.mark.long(30)

SHOP = Shop()
TABLES = ("salesforce_accounts", "salesforce_contacts", "salesforce_opportunities", "fx_rates")


def live(stand_ins: Path, day: int) -> None:
    """Bring Salesforce and the rates API to the end of `day`, wherever they were."""
    with store.opened(Layout(stand_ins).web / store.FILE) as db:
        for table in TABLES:
            db.execute(f"DELETE FROM {store.quote(table)}")
            for n in range(day + 1):
                store.put(db, SHOP.day(n).changes[table])


def adopt(lakehouse: Lakehouse, *tables: str) -> None:
    for table in tables:
        folder = PROJECT / "include" / "tables" / "bronze" / table
        shutil.copytree(folder, lakehouse.tables / "bronze" / table)


def quarantined(table: str) -> Counter[str]:
    held = DeltaTable(paths.ops("quarantine")).to_pyarrow_table().to_pylist()
    return Counter(reason for row in held if row["table"] == f"bronze.{table}" for reason in row["reasons"])


def planted(table: str, days: range) -> Counter[str]:
    return Counter(e.rule for n in days for e in SHOP.manifest(n) if e.table == table and e.rule)


def test_rates_come_late_are_corrected_and_counted_once(lakehouse: Lakehouse, stand_ins: Path) -> None:
    """ING-2, ING-5: a day loaded twice, late hours and corrections; a corrected hour keeps both values."""
    adopt(lakehouse, "fx_rates")
    live(stand_ins, 1)
    lakehouse.run("bronze.fx_rates", "2025-10-01", "2025-10-02")
    live(stand_ins, 2)
    for _ in range(2):
        (batch,) = lakehouse.run("bronze.fx_rates", "2025-10-02", "2025-10-03")
    published = Counter()
    for n in range(3):
        for row in SHOP.day(n).changes["fx_rates"].rows():
            # What day 1 corrected was corrected before anybody looked.
            seen_first = n == 0 and any(
                e.kind == "corrected_rate" and e.key == {k: row[k] for k in e.key} for e in SHOP.manifest(1)
            )
            if row["currency"] != "XXX" and 0 < row["rate"] < 5 and not seen_first:
                published[row["currency"], row["rate_ts"], row["rate"], row["published_at"]] += 1
    found = Counter(
        (r["currency"], r["rate_ts"].replace(tzinfo=None), r["rate"], r["published_at"].replace(tzinfo=None))
        for r in lakehouse.rows("bronze.fx_rates")
    )
    assert found == published
    assert quarantined("fx_rates") == planted("fx_rates", range(3))
    assert batch.counts["inserted"] == 0


@pytest.mark.parametrize("table", TABLES[:3])
def test_salesforce_is_kept_state_by_state(lakehouse: Lakehouse, stand_ins: Path, table: str) -> None:
    adopt(lakehouse, table)
    live(stand_ins, 2)
    lakehouse.run(f"bronze.{table}", "2025-10-02", "2025-10-03")
    newest = {row["Id"]: row for n in range(3) for row in SHOP.day(n).changes[table].rows()}
    bad = {e.key["Id"] for n in range(3) for e in SHOP.manifest(n) if e.table == table and e.rule}
    rows = {row[f"{table.removeprefix('salesforce_')[:-1]}_id".replace("opportunitie_", "opportunity_")]: row
            for row in lakehouse.rows(f"bronze.{table}")}  # fmt: skip
    assert rows.keys() == newest.keys() - bad
    for key, row in rows.items():
        assert row["system_modstamp"].replace(tzinfo=None) == newest[key]["SystemModstamp"]
        assert row["is_deleted"] == newest[key]["IsDeleted"]
        if table == "salesforce_contacts":
            assert row["customer_id"] == newest[key]["ShopCustomerId__c"]
            assert row["full_name"] != newest[key]["Name"]
        if table == "salesforce_opportunities":
            assert row["amount"] == newest[key]["Amount"]
    assert quarantined(table) == planted(table, range(3)) if bad else True
    extra = DeltaTable(paths.table(f"bronze.{table}")).to_pyarrow_table(columns=["_extra"])["_extra"].to_pylist()
    # Account.Rating is in no contract: it is kept beside. Of people, nothing is.
    assert all(extra) if table == "salesforce_accounts" else not any(extra)
