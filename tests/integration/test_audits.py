"""The warehouse audited (see `tests.audits`): a month of the generated shop and its faults, months of a real shop."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse import paths
from tests import oracle
from tests.audits import SHOP, Audits, Dimension, faults, published, star, sums
from tests.integration.attempt import warm_up
from tests.integration.chaos import daily, difference, quietly
from tests.integration.conftest import HERE, Lakehouse, lake_at
from tests.integration.test_vendor_files import RETAIL
from tests.shop import Sources, adopt

TABLES = (
    *("bronze.orders", "bronze.order_items", "bronze.customers", "bronze.products", "bronze.fx_rates"),
    *("bronze.behavior_events", "bronze.shop_events", "silver.behavior_events", "silver.exchange_rates"),
    *("silver.orders", "silver.order_items"),
    *("gold.dim_date", "gold.dim_customer", "gold.dim_product", "gold.fact_sales", "gold.fact_behavior"),
)
#: Evenings on which all since the last one is loaded. Who is deleted comes back the next day: some follow each other.
#: Never more than ten days at once: nobody mends broken products, and their share of what is new grows with the days.
EVENINGS = (1, 2, 3, 10, 17, 24, 31) if os.environ.get("LAKEHOUSE_WEEK") == "all" else (1, 2, 11, 21, 31)
#: What the month must have had, or the audits showed little: by table and kind.
LIFE = {
    *(("customers", kind) for kind in ("late", "soft_delete", "reinserted", "several_changes")),
    *(("products", kind) for kind in ("late", "soft_delete")),
    *(("orders", kind) for kind in ("late", "late_dimension", "missing_dimension", "repaired", "unknown_currency")),
    *(("order_items", kind) for kind in ("late", "duplicate", "soft_delete", "negative_quantity")),
    *(("behavior_events", kind) for kind in ("late", "old_event", "duplicate", "resent")),
    *(("fx_rates", kind) for kind in ("late_rate", "corrected_rate", "missing_hour", "absurd_rate")),
}
#: Lines whose rate has changed, and whether it is one that came late or was corrected.
REPAIRED = f"""
WITH told AS ({oracle.LINES})
SELECT order_id, line_number, EXISTS (
    FROM late WHERE currency = 'USD' AND rate_ts = dollars_since OR currency = t.currency AND rate_ts = own_since)
FROM before b JOIN fact_sales f USING (order_id, line_number) JOIN told t USING (order_id, line_number)
WHERE b.usd_rate IS DISTINCT FROM f.usd_rate
"""
#: Lines whose customer or product has come after them.
ARRIVED = """
SELECT count(*) FROM before b JOIN fact_sales f USING (order_id, line_number)
WHERE b.customer_sk = -1 AND f.customer_sk <> -1 OR b.product_sk = -1 AND f.product_sk <> -1
"""
#: What makes the audits more than empty talk, counted: members that left and came back, and that left for good; goods
#: of several prices; lines of unknown members, and of those who are another since.
SEEN = """
SELECT
    (SELECT count(*) FROM (SELECT valid_to, lead(valid_from) OVER (PARTITION BY customer_id ORDER BY valid_from) AS next
        FROM dim_customer) WHERE valid_to < next),
    (SELECT count(DISTINCT customer_id) - count_if(is_current) FROM dim_customer),
    (SELECT count(DISTINCT product_id) - count_if(is_current) FROM dim_product),
    (SELECT count(*) FROM (SELECT product_id FROM dim_product GROUP BY ALL HAVING count(*) > 2)),
    (SELECT count(*) FROM fact_sales WHERE customer_sk = -1),
    (SELECT count(*) FROM fact_sales WHERE product_sk = -1),
    (SELECT count(*) FROM fact_sales JOIN dim_customer USING (customer_sk) WHERE NOT is_current)
"""


@pytest.mark.long(500)
@pytest.mark.timeout(1800)
def test_a_month_of_faults_leaves_a_sound_star(stand_ins: Path, tmp_path: Path) -> None:
    """MOD-1 to MOD-4 after every load: late and disordered rows, duplicates, deletes and returns, late FX."""
    warm_up()
    sources = Sources(stand_ins, tmp_path / "sent")
    sources.clear()
    pictures: list[dict[str, Path]] = []
    before: Mapping[str, Any] = {}
    repaired: Counter[bool] = Counter()
    arrived = 0
    with lake_at(tmp_path, stand_ins) as lake:
        adopt(lake.tables, *TABLES)
        for evening in EVENINGS:
            sources.live(evening, files=False)
            pictures.append(sources.picture(evening))
            quietly(daily(evening), tmp_path / "said.txt")
            found = star(pictures)
            assert faults(SHOP, found) == {}, f"after day {evening}"
            if before:
                both = {**found, "before": before["fact_sales"], "late": late_rates(sources, evening)}
                repaired.update(by_late_rate for _, _, by_late_rate in oracle.ask(REPAIRED, both))
                arrived += oracle.ask(ARRIVED, both)[0][0]
            before = found
    sources.clear()
    assert set(planted(sources, EVENINGS[-1])) >= LIFE
    assert repaired[True] > 0
    assert repaired[False] == 0
    assert arrived > 0
    (seen,) = oracle.ask(SEEN, found)
    assert min(seen) > 0, seen


def planted(sources: Sources, last: int) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The manifests' entries from day 1 to `last` by table and kind."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for day in range(1, last + 1):
        for entry in json.loads((sources.manifests / f"day-{day:03d}.json").read_text())["planted"]:
            found.setdefault((entry["table"], entry["kind"]), []).append(entry)
    return found


def late_rates(sources: Sources, last: int) -> pa.Table:
    """(currency, rate_ts) of the rates that came late or again up to day `last`."""
    entries = planted(sources, last)
    keys = [e["key"] for kind in ("late_rate", "corrected_rate") for e in entries.get(("fx_rates", kind), [])]
    table = pa.Table.from_pylist([{"currency": key["currency"], "rate_ts": key["rate_ts"]} for key in keys])
    return table.set_column(1, "rate_ts", table["rate_ts"].cast(pa.timestamp("us")))


#: The real shop's star, and its files as the audits read them.
GOODS = Dimension("dim_goods", "goods_states", "stock_code", "goods_sk", tracked=("description",))
BUYERS = Dimension("dim_buyer", "buyer_states", "customer_id", "buyer_sk", tracked=("country",))
FILES = {
    "files": f"SELECT * FROM read_csv('{RETAIL}/*.csv', all_varchar = true)",
    "goods_states": """
        SELECT StockCode AS stock_code, CAST(InvoiceDate AS TIMESTAMP) AS told_at, max(Description) AS description,
            false AS deleted FROM files WHERE Description IS NOT NULL GROUP BY ALL""",
    "buyer_states": """
        SELECT CAST(CustomerID AS DECIMAL(10, 0)) AS customer_id, CAST(InvoiceDate AS TIMESTAMP) AS told_at,
            max(Country) AS country, false AS deleted FROM files WHERE CustomerID IS NOT NULL GROUP BY ALL""",
}
REAL: Audits = {
    **GOODS.audits(),
    **BUYERS.audits(),
    **GOODS.audits_of("fact_lines", "invoice_date"),
    **BUYERS.audits_of("fact_lines", "invoice_date"),
    "fact_lines: sums are the files', to the cent": sums(
        """SELECT CAST(invoice_date AS DATE) AS day, left(invoice_no, 1) = 'C' AS cancelled, count(*) AS lines,
            count(customer_id) AS known, sum(quantity) AS quantity, sum(amount) AS amount
        FROM fact_lines GROUP BY ALL""",
        """SELECT CAST(InvoiceDate AS DATE) AS day, left(InvoiceNo, 1) = 'C' AS cancelled, count(*) AS lines,
            count(CustomerID) AS known, sum(CAST(Quantity AS BIGINT)) AS quantity,
            sum(CAST(Quantity AS BIGINT) * CAST(UnitPrice AS DECIMAL(12, 2))) AS amount
        FROM files GROUP BY ALL""",
        "cancelled",
    ),
}


@pytest.mark.long(200)
@pytest.mark.timeout(900)
@pytest.mark.skipif(not RETAIL.is_dir(), reason=f"there are no retail days in {RETAIL}")
def test_a_real_shops_star_is_sound_in_whatever_order_its_days_come(
    stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MOD-1 to MOD-4 on real invoices, by table folders alone: in order and shuffled, the same tables."""
    days = sorted(RETAIL.glob("*.csv"))
    homes = []
    for name, order in (("ordered", days), ("shuffled", random.Random(5).sample(days, len(days)))):
        home = tmp_path / name
        (home / "sent").mkdir(parents=True)
        homes.append(home)
        monkeypatch.setenv("AIRFLOW_CONN_RETAIL_FILES", json.dumps({"conn_type": "fs", "extra": {"path": str(home)}}))
        with lake_at(home, stand_ins) as lake:
            shutil.copytree(HERE / "retail", lake.tables)
            load(lake, home / "sent", order)
            held = {name: published(paths.table(f"gold.{name}")) for name in ("dim_goods", "dim_buyer", "fact_lines")}
            assert faults(REAL, held | FILES) == {}, home.name
    assert difference(*homes) == {}
    assert held["fact_lines"].num_rows > 50_000
    several = "SELECT count(*) FROM (SELECT stock_code FROM dim_goods GROUP BY ALL HAVING count(*) > 1)"
    unknown = "SELECT count(*) FROM fact_lines WHERE goods_sk = -1"
    assert min(oracle.ask(sql, held)[0][0] for sql in (several, unknown)) >= 50


def load(lake: Lakehouse, sent: Path, days: Sequence[Path], loads: int = 2) -> None:
    """Send the days one after another, and load as often as told."""
    for number in range(loads):
        for day in days[len(days) * number // loads : len(days) * (number + 1) // loads]:
            shutil.copyfile(day, sent / day.name)
        lake.run("*", f"2025-11-{number + 1:02d}", f"2025-11-{number + 2:02d}")
