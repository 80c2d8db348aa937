"""Policy over every table folder: what a reader, an owner and the machinery may rely on."""

import shutil
from datetime import timedelta
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import sqlglot
import yaml
from sqlglot import exp
from sqlglot.lineage import lineage
from sqlglot.optimizer.qualify import qualify

from lakehouse.contracts import Contract, ContractError, load_contract
from lakehouse.freshness import promise
from lakehouse.transform.precedence import check_precedence
from lakehouse.transform.sql import parse_transform

ROOT = Path(__file__).parents[2] / "include" / "tables"
FOLDERS = {f"{path.parent.name}.{path.name}": path for path in sorted(ROOT.glob("*/*")) if path.is_dir()}
LAYERS = ("bronze", "silver", "gold")
#: Columns that the loader adds to bronze, by type.
OPERATIONAL = {
    "_ingest_ts": "TIMESTAMP",
    "_batch_id": "STRING",
    "_source_system": "STRING",
    "_run_date": "DATE",
    "_extra": "STRING",
    "_row_hash": "BIGINT",
}
#: Anything that gives another answer tomorrow, on another machine, or on another run.
NOT_DETERMINISTIC = {
    "current_date", "current_timestamp", "current_timezone", "current_user", "localtimestamp", "now", "rand", "randn",
    "random", "uuid", "monotonically_increasing_id", "spark_partition_id", "input_file_name",
    "str_to_unix", "first", "first_value", "any_value", "array_agg", "array_unique_agg", "shuffle",
}  # fmt: skip
#: Words of ODCS 3.2; these contracts say 3.1, and tools that know 3.1 only must be able to read them.
TOO_NEW = {"enum", "map", "synonyms", "context", "semanticType"}

CONTRACTS: dict[str, Contract] = {name: load_contract(folder) for name, folder in FOLDERS.items()}
COMPUTED = sorted(name for name, contract in CONTRACTS.items() if not contract.source)
every_table = pytest.mark.parametrize("name", sorted(CONTRACTS))
every_computed = pytest.mark.parametrize("name", COMPUTED)


def tree(name: str) -> exp.Expression:
    """The one statement of a transform; raises where there is not exactly one."""
    (found,) = sqlglot.parse((FOLDERS[name] / "transform.sql").read_text(), read="spark")
    assert isinstance(found, exp.Query)
    return found


def reads(expression: exp.Expression) -> set[str]:
    return {f"{table.db}.{table.name}" for table in expression.find_all(exp.Table) if table.db}


def queries(contract: Contract) -> dict[str, exp.Expression]:
    """The sql rules, the candidate put in under the table's own name."""
    text = {rule.name: rule.params["query"] for rule in contract.rules if rule.kind == "sql"}
    return {
        name: sqlglot.parse_one(query.replace("${table}", contract.name), read="spark") for name, query in text.items()
    }


def schema(contract: Contract) -> dict[str, str]:
    extra = OPERATIONAL if contract.layer == "bronze" else {}
    return {column.name: column.type for column in contract.columns} | extra


def catalog() -> dict[str, dict[str, dict[str, str]]]:
    return {layer: {c.table: schema(c) for c in CONTRACTS.values() if c.layer == layer} for layer in LAYERS}


def test_the_shop_is_complete() -> None:
    assert {layer: sum(c.layer == layer for c in CONTRACTS.values()) for layer in LAYERS} == {
        "bronze": 11,
        "silver": 9,
        "gold": 5,
    }


@every_table
def test_somebody_owns_and_explains_it(name: str) -> None:
    contract = CONTRACTS[name]
    document = yaml.safe_load(contract.path.read_text())
    assert contract.owner
    assert contract.owner_email.endswith("@shop.example")
    assert len(contract.description) > 30
    assert contract.description.endswith(".")
    assert contract.tags[0] == contract.layer
    assert len(contract.tags) > 1
    assert document["schema"][0]["dataGranularityDescription"].startswith("One row per ")
    assert contract.sla["dqGateDeadline"] == {"value": 20, "unit": "min"}


@every_table
def test_facts_and_inputs_promise_freshness(name: str) -> None:
    contract = CONTRACTS[name]
    if contract.table.startswith("dim_"):
        return
    column, within = promise(contract)
    streamed = contract.source is not None and contract.source.streamed
    assert within == timedelta(hours=1 if streamed else 26)
    assert column in {c.name for c in contract.columns}


@every_table
def test_columns_that_a_name_does_not_explain_are_described(name: str) -> None:
    obvious = {"city", "name", "page_url", "full_date", "year", "day_of_month", "is_current"}
    keys = set(CONTRACTS[name].primary_key)
    silent = [c.name for c in CONTRACTS[name].columns if not c.description and c.name not in obvious | keys]
    assert silent == []


@every_table
def test_contracts_keep_to_the_version_of_the_standard_they_name(name: str) -> None:
    document = yaml.safe_load(CONTRACTS[name].path.read_text())
    assert document["apiVersion"] == "v3.1.0"

    def words(node: object) -> set[str]:
        if isinstance(node, dict):
            return set(node) | {word for value in node.values() for word in words(value)}
        return {word for value in node for word in words(value)} if isinstance(node, list) else set()

    assert words(document) & TOO_NEW == set()


@every_table
def test_relationships_point_at_keys_that_exist(name: str) -> None:
    for rule in CONTRACTS[name].rules:
        if rule.kind == "reference":
            target = CONTRACTS[rule.params["table"]]
            assert target.primary_key == (rule.params["column"],)
            assert target.column(rule.params["column"]).type == CONTRACTS[name].column(rule.columns[0]).type


@every_table
def test_rules_read_tables_and_columns_that_exist(name: str) -> None:
    for query in queries(CONTRACTS[name]).values():
        assert reads(query) <= set(CONTRACTS)
        qualify(query, schema=catalog(), dialect="spark", validate_qualify_columns=True)


def test_bronze_comes_from_sources_and_every_source_has_a_bookmark_of_its_own() -> None:
    bronze = [c for c in CONTRACTS.values() if c.layer == "bronze"]
    assert all(c.source and c.strategy == "append" for c in bronze)
    assert all(not c.source for c in CONTRACTS.values() if c.layer != "bronze")
    assert {c.name: c.source.watermark_key for c in bronze if c.source} == {
        "bronze.orders": "snowflake_orders_max_ts",
        "bronze.order_items": "snowflake_order_items_max_ts",
        "bronze.customers": "snowflake_customers_max_ts",
        "bronze.products": "snowflake_products_max_ts",
        "bronze.behavior_events": "redshift_behavior_max_ts",
        "bronze.vendor_prices": "vendor_prices_max_ts",
        "bronze.salesforce_accounts": "salesforce_accounts_max_ts",
        "bronze.salesforce_contacts": "salesforce_contacts_max_ts",
        "bronze.salesforce_opportunities": "salesforce_opportunities_max_ts",
        "bronze.fx_rates": "fx_rates_max_ts",
        "bronze.shop_events": "kafka_shop_events_max_ts",
    }


def test_key_and_cursor_come_early_where_delta_keeps_statistics() -> None:
    for contract in CONTRACTS.values():
        names = [column.name for column in contract.columns]
        early = {*contract.primary_key, *([contract.source.cursor] if contract.source else [])}
        assert set(names[: len(early)]) == early


def test_the_star_is_published_together() -> None:
    groups = {c.name: c.publish_group for c in CONTRACTS.values()}
    assert {name for name, group in groups.items() if group} == {n for n, c in CONTRACTS.items() if c.layer == "gold"}
    assert set(groups.values()) == {"", "star"}


@every_computed
def test_a_transform_is_one_select_that_opens_with_what_a_row_is(name: str) -> None:
    text = (FOLDERS[name] / "transform.sql").read_text()
    assert text.startswith("-- One row per ")
    assert text.endswith("\n")
    assert max(map(len, text.splitlines())) <= 120
    assert not any(isinstance(s, exp.Star) for select in tree(name).find_all(exp.Select) for s in select.selects)


@every_computed
def test_a_transform_returns_the_columns_of_its_contract(name: str) -> None:
    contract, returned = CONTRACTS[name], tree(name).named_selects
    if contract.scd2:
        machine = {contract.scd2.surrogate_key, "valid_to", "is_current"}
        wanted = {c.name for c in contract.columns} - machine | {"_deleted", "_sequence"}
        assert (len(returned), set(returned)) == (len(wanted), wanted)
    else:
        assert returned == [c.name for c in contract.columns]


@every_computed
def test_a_transform_reads_only_columns_that_contracts_promise(name: str) -> None:
    qualify(tree(name), schema=catalog(), dialect="spark", validate_qualify_columns=True)


@every_computed
def test_a_transform_gives_the_same_answer_tomorrow(name: str) -> None:
    for expression in [tree(name), *queries(CONTRACTS[name]).values()]:
        called = {
            (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
            for node in expression.find_all(exp.Func)
        }
        assert called & NOT_DETERMINISTIC == set()
        assert not expression.find(exp.Limit)
        for window in expression.find_all(exp.Window):
            assert window.args.get("order"), "a window without an order picks any row"


@every_computed
def test_a_transform_reads_its_own_layer_or_a_lower_one(name: str) -> None:
    for read in reads(tree(name)):
        assert read in CONTRACTS, f"{name} reads {read}, which has no folder"
        assert LAYERS.index(read.partition(".")[0]) <= LAYERS.index(CONTRACTS[name].layer)
    ctes = {cte.alias for cte in tree(name).find_all(exp.CTE)}
    assert {t.name for t in tree(name).find_all(exp.Table) if not t.db} <= ctes


def test_nothing_waits_for_itself_even_where_gates_look_at_other_tables() -> None:
    """The gate of a table reads what its references and sql rules name, so those count as edges too."""
    graph: dict[str, set[str]] = {name: set() for name in CONTRACTS}
    for name, contract in CONTRACTS.items():
        graph[name] |= {r.params["table"] for r in contract.rules if r.kind == "reference"}
        graph[name] |= {read for query in queries(contract).values() for read in reads(query)}
        graph[name] |= reads(tree(name)) if not contract.source else set()
        graph[name] -= {name}
    assert len(list(TopologicalSorter(graph).static_order())) == len(CONTRACTS)


def test_pii_is_protected_before_it_is_stored() -> None:
    pii = {
        (c.name, column.name): column.protect
        for c in CONTRACTS.values()
        for column in c.columns
        if column.classification == "pii"
    }
    assert pii == {
        ("bronze.customers", "email"): "tokenise",
        ("bronze.customers", "full_name"): "tokenise",
        ("bronze.customers", "phone"): "mask",
        ("bronze.salesforce_contacts", "email"): "tokenise",
        ("bronze.salesforce_contacts", "full_name"): "tokenise",
        ("bronze.salesforce_contacts", "phone"): "mask",
    }


@every_computed
def test_what_stems_from_pii_is_marked_wherever_it_goes(name: str) -> None:
    contract, sql = CONTRACTS[name], tree(name)
    sensitive = {
        (c.name, column.name)
        for c in CONTRACTS.values()
        for column in c.columns
        if column.classification in ("pii", "pseudonymous")
    }
    for column in contract.columns:
        if column.name not in sql.named_selects:
            continue
        node = lineage(column.name, sql.sql("spark"), schema=catalog(), dialect="spark")
        roots = {
            (f"{leaf.expression.db}.{leaf.expression.name}", leaf.name.rpartition(".")[2])
            for leaf in node.walk()
            if isinstance(leaf.expression, exp.Table)
        }
        expected = "pseudonymous" if roots & sensitive else ""
        assert column.classification == expected, (column.name, roots)


@every_computed
def test_a_table_says_which_source_wins_and_keeps_to_it(name: str) -> None:
    check_precedence(CONTRACTS[name], parse_transform(FOLDERS[name]), CONTRACTS)


def test_customers_say_it_of_every_column() -> None:
    assert [c.name for c in CONTRACTS["silver.customers"].columns if not c.precedence] == []


@pytest.mark.parametrize(
    ("table", "old", "new", "told"),
    [
        (
            "customers",
            "COALESCE(contacts.phone, shop.phone)",
            "COALESCE(shop.phone, contacts.phone)",
            "column phone: precedence is silver.contacts > bronze.customers, "
            "its SQL takes bronze.customers > silver.contacts",
        ),
        (
            "customers",
            "  shop.city,",
            "  COALESCE(shop.city, accounts.country) AS city,",
            "column city: precedence is bronze.customers, its SQL takes bronze.customers > silver.accounts",
        ),
        (
            "customers",
            "  shop.segment,",
            "  CASE WHEN contacts.phone IS NULL THEN shop.segment ELSE 'business' END AS segment,",
            "column segment: precedence is bronze.customers, its SQL takes bronze.customers with silver.contacts",
        ),
        (
            "orders",
            "MAX(converted.usd_rate) AS usd_rate",
            "COALESCE(MAX(order_lines.line_amount), MAX(converted.usd_rate)) AS usd_rate",
            "column usd_rate: precedence is not stated, its SQL takes bronze.order_items > "
            "bronze.orders with silver.exchange_rates",
        ),
    ],
)
def test_sql_that_takes_another_source_is_told(tmp_path: Path, table: str, old: str, new: str, told: str) -> None:
    folder = tmp_path / "silver" / table
    shutil.copytree(FOLDERS[f"silver.{table}"], folder)
    file = folder / "transform.sql"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ContractError) as caught:
        check_precedence(load_contract(folder), parse_transform(folder), CONTRACTS)
    ((line, what, _),) = caught.value.problems
    assert what == told
    column = (folder / "contract.odcs.yaml").read_text().splitlines()[line - 1]
    assert column.strip() == f"- name: {told.split(':')[0].removeprefix('column ')}"


@every_computed
def test_no_null_key_gathers_rows_where_one_core_would_have_them_all(name: str) -> None:
    """Windows and groupings over a table have a column that is never null, or that nulls were left out by."""
    for select in tree(name).find_all(exp.Select):
        tables = [
            t for t in (select.args.get("from_"),) if t is not None and isinstance(t.this, exp.Table) and t.this.db
        ]
        if not tables or select.args.get("joins"):
            continue
        contract = CONTRACTS[f"{tables[0].this.db}.{tables[0].this.name}"]
        kept = {c.name for c in contract.columns if c.required}
        where = select.args.get("where")
        for test in where.find_all(exp.Not) if where else []:
            if isinstance(test.this, exp.Is) and isinstance(test.this.expression, exp.Null):
                kept.add(test.this.this.name)
        group = select.args.get("group")
        keys = [group.expressions] if group else []
        keys += [window.args["partition_by"] for window in select.find_all(exp.Window)]
        for columns in keys:
            assert {c.name for c in columns} & kept, (name, [c.sql() for c in columns])
