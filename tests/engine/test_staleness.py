"""A changed folder makes its table stale, and what reads it; nothing else."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse import ledger, manifest, paths
from lakehouse.cli.main import app
from lakehouse.config import PROJECT, settings
from lakehouse.contracts import load_contract
from lakehouse.delta import create_table
from lakehouse.ledger.events import Event
from lakehouse.pipeline.spec import table_spec
from lakehouse.staleness import Stale, stale
from lakehouse.transform.sql import parse_transform

#: A chain of three, with neighbours that do not read it.
TABLES = [f"bronze/{name}" for name in ("behavior_events", "customers", "orders", "order_items", "products")]
TABLES += ["bronze/shop_events"]
TABLES += [f"bronze/{name}" for name in ("fx_rates", "salesforce_accounts", "salesforce_contacts")]
TABLES += [f"silver/{name}" for name in ("behavior_events", "customer_activity", "customers", "orders", "products")]
TABLES += [f"silver/{name}" for name in ("accounts", "contacts", "exchange_rates")]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Some of the project's tables, each published once by its folder as it is."""
    root = tmp_path / "tables"
    for name in TABLES:
        shutil.copytree(PROJECT / "include" / "tables" / name, root / name)
    for name, value in {"HOME": tmp_path, "CACHE": tmp_path / "cache", "TABLES": root}.items():
        monkeypatch.setenv(f"LAKEHOUSE_{name}", str(value))
    settings.cache_clear()
    ledger.append(*(published(Path(entry.folder)) for entry in manifest.load().entries))
    yield root
    settings.cache_clear()


def published(folder: Path) -> Event:
    contract = load_contract(folder)
    sql = "" if contract.source else parse_transform(folder).fingerprint
    told = {"contract": contract.fingerprint, "sql": sql, "version": 0}
    return Event("published", contract.name, f"b-{contract.name}", 1, "a", "r", "manual", **told)


def found(*selected: str) -> dict[str, Stale]:
    tables = manifest.load()
    entries = tables.select(" ".join(selected)) if selected else None
    return {one.table: one for one in stale(tables, entries)}


def test_changed_sql_makes_a_table_and_its_readers_stale(tables: Path):
    assert found() == {}
    file = tables / "silver" / "orders" / "transform.sql"
    file.write_text(file.read_text().replace("recency = 1", "recency = 1 AND status <> 'test'"))
    now = found()
    assert set(now) == {"silver.orders", "silver.customer_activity"}
    assert now["silver.orders"].reasons == ("sql",)
    assert now["silver.customer_activity"] == Stale("silver.customer_activity", (), ("silver.orders",), 0, 0, 0)
    assert now["silver.customer_activity"].to_row()["why"] == "reads a stale table"


def test_a_changed_contract_is_seen_and_a_selector_asks_of_some_only(tables: Path):
    for name in ("bronze/products", "silver/customers"):
        file = tables / name / "contract.odcs.yaml"
        file.write_text(file.read_text().replace("version: 1.0.0", "version: 1.1.0"))
    assert found()["bronze.products"].reasons == ("contract",)
    assert {"silver.products", "silver.customers"} <= set(found())
    only = found("silver.customers")
    assert only["silver.customers"].reasons == ("contract",)
    assert "bronze.products" not in only
    assert "silver.products" not in only


def test_a_new_table_is_told_and_restates_nobody(tables: Path):
    shutil.copytree(tables / "bronze" / "products", tables / "bronze" / "gadgets")
    file = tables / "bronze" / "gadgets" / "contract.odcs.yaml"
    text = file.read_text().replace("bronze.products", "bronze.gadgets").replace("name: products", "name: gadgets")
    text = text.replace("id: products", "id: gadgets").replace("snowflake_products_max_ts", "gadgets_max_ts")
    file.write_text(text.replace("element: products", "element: gadgets"))
    assert {name: one.reasons for name, one in found().items()} == {"bronze.gadgets": ("new",)}


def test_the_command_lists_them(tables: Path):
    file = tables / "silver" / "orders" / "transform.sql"
    file.write_text(file.read_text().replace("recency = 1", "recency = 2"))
    told = CliRunner().invoke(app, ["plan", "--output", "json"])
    assert told.exit_code == 0
    assert json.loads(told.stdout)[0] == {
        "table": "silver.orders", "why": "sql", "because": "", "in_full": "", "rows": 0, "files": 0, "bytes": 0,
    }  # fmt: skip
    assert "tables, 0 rows" in CliRunner().invoke(app, ["plan"]).stdout


def test_a_table_that_cannot_follow_changes_is_told_with_the_reason(tables: Path):
    for name in ("bronze.orders", "bronze.fx_rates", "silver.exchange_rates", "silver.orders", "bronze.order_items"):
        contract = load_contract(tables / name.replace(".", "/"))
        create_table(paths.table(name), table_spec(contract))
    assert found("silver.orders")["silver.orders"].in_full.endswith(" was not read before")
    orders = tables / "silver" / "orders"
    read = dict.fromkeys(parse_transform(orders).reads, 0)
    ledger.append(replace(published(orders), consumed=read, load=2))
    assert found("silver.orders") == {}
    shutil.copytree(tables / "silver" / "exchange_rates", tables / "silver" / "sampled")
    folder = tables / "silver" / "sampled"
    file = folder / "contract.odcs.yaml"
    file.write_text(file.read_text().replace("exchange_rates", "sampled"))
    sql = (folder / "transform.sql").read_text()
    (folder / "transform.sql").write_text(f"SELECT * FROM (\n{sql}\n) AS all_of_it LIMIT 10\n")
    create_table(paths.table("silver.sampled"), table_spec(load_contract(folder)))
    ledger.append(published(folder))
    (one,) = found("silver.sampled").values()
    assert (one.reasons, one.because, one.to_row()["why"]) == ((), (), "")
    assert one.in_full == "its SQL does not say which keys a change touches; declare them as affectedKeys"
