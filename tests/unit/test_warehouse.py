"""What publishing to Snowflake says, word for word, and what contracts may ask of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import lineage, manifest
from lakehouse.config import PROJECT
from lakehouse.contracts import ContractError, load_contract
from lakehouse.delta.feed import CHANGE, VERSION
from lakehouse.sections import WarehouseSettings
from lakehouse.warehouse import faults, lake, parts, statements
from lakehouse.warehouse.columns import Target, conveyed, fingerprint, targets
from tests.unit.test_contracts_broken import BRONZE, folder_of
from tests.warehouse import CONTRACT

PLACE = statements.Place("DB", "LAKEHOUSE_GOLD", 'FA"CT', "0a1b")
COLUMNS = (Target("id", "BIGINT"), Target("note", "STRING"), Target("amount", "DECIMAL(18, 2)"))
CONTROL = '"DB"."LAKEHOUSE_GOLD"."_LAKEHOUSE_PUBLISHED"'
FENCE = f"EXISTS (SELECT 1 FROM {CONTROL} WHERE TABLE_NAME = %(name)s AND ATTEMPT = %(attempt)s)"
TABLE = '"DB"."LAKEHOUSE_GOLD"."FA""CT"'
STAGED = '"DB"."LAKEHOUSE_GOLD"."_STAGED_FA""CT_0A1B"'
STAGE = '"DB"."LAKEHOUSE_GOLD"."_STAGE_FA""CT_0A1B"'


def test_the_last_change_of_each_key_is_merged_while_the_row_is_held() -> None:
    made = statements.merge(PLACE, "gold.fact", COLUMNS, ("id",))
    assert made.text == (
        f"MERGE INTO {TABLE} AS T USING (SELECT * FROM {STAGED} WHERE {FENCE} "
        'QUALIFY ROW_NUMBER() OVER (PARTITION BY "ID" ORDER BY "_COMMIT_VERSION" DESC, '
        'CASE WHEN "_CHANGE_TYPE" = \'delete\' THEN 1 ELSE 0 END) = 1) AS S ON T."ID" = S."ID" '
        "WHEN MATCHED AND S.\"_CHANGE_TYPE\" = 'delete' THEN DELETE "
        'WHEN MATCHED THEN UPDATE SET "NOTE" = S."NOTE", "AMOUNT" = S."AMOUNT" '
        "WHEN NOT MATCHED AND S.\"_CHANGE_TYPE\" <> 'delete' "
        'THEN INSERT ("ID", "NOTE", "AMOUNT") VALUES (S."ID", S."NOTE", S."AMOUNT")'
    )
    assert made.values == {"name": "gold.fact", "attempt": "0a1b"}


def test_a_table_that_is_all_key_has_nothing_to_update() -> None:
    assert "UPDATE" not in statements.merge(PLACE, "gold.fact", COLUMNS[:1], ("id",)).text


def test_a_whole_table_is_replaced_by_statements_that_do_not_commit() -> None:
    delete, insert = statements.replace(PLACE, "gold.fact", COLUMNS)
    assert delete.text == f"DELETE FROM {TABLE} WHERE {FENCE}"
    assert insert.text == (
        f'INSERT INTO {TABLE} ("ID", "NOTE", "AMOUNT") SELECT "ID", "NOTE", "AMOUNT" FROM {STAGED} WHERE {FENCE}'
    )


def test_what_is_staged_ends_with_the_session() -> None:
    table, stage = statements.staging(PLACE, COLUMNS)
    assert table.text == (
        f'CREATE TEMPORARY TABLE {STAGED} ("ID" NUMBER(19,0), "NOTE" VARCHAR, "AMOUNT" NUMBER(18,2), '
        '"_CHANGE_TYPE" VARCHAR, "_COMMIT_VERSION" NUMBER(19,0))'
    )
    assert stage.text == f"CREATE TEMPORARY STAGE {STAGE}"
    uri = "file:///tmp/part_00000.parquet"
    assert statements.put(PLACE, uri).text == f"PUT '{uri}' @{STAGE} AUTO_COMPRESS = FALSE OVERWRITE = TRUE"
    assert statements.copy(PLACE).text == (
        f"COPY INTO {STAGED} FROM @{STAGE} FILE_FORMAT = (TYPE = PARQUET BINARY_AS_TEXT = FALSE) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE ON_ERROR = ABORT_STATEMENT PURGE = TRUE"
    )


def test_the_table_and_its_new_columns() -> None:
    assert statements.make_table(PLACE, COLUMNS, ("id",)).text == (
        f'CREATE TABLE IF NOT EXISTS {TABLE} ("ID" NUMBER(19,0) NOT NULL, "NOTE" VARCHAR, "AMOUNT" NUMBER(18,2))'
    )
    added = statements.add_column(PLACE, Target("at", "TIMESTAMP")).text
    assert added == f'ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS "AT" TIMESTAMP_TZ'


def test_totals_are_exact_text() -> None:
    assert statements.totals(PLACE, [c for c in COLUMNS if c.is_measure]).text == (
        'SELECT COUNT(*), CAST(SUM(CAST("ID" AS NUMBER(38,0))) AS VARCHAR), '
        f'CAST(SUM(CAST("AMOUNT" AS NUMBER(38,2))) AS VARCHAR) FROM {TABLE}'
    )


def test_the_version_is_recorded_by_who_holds_the_row() -> None:
    made = statements.record(PLACE, "gold.fact", 7, "u-1", "{}", 3)
    assert made.text.startswith(f"UPDATE {CONTROL} SET VERSION = %(version)s, ")
    assert made.text.endswith("WHERE TABLE_NAME = %(name)s AND ATTEMPT = %(attempt)s")
    assert (made.values["version"], made.values["attempt"]) == (7, "0a1b")


def test_every_type_of_a_contract_has_one_there() -> None:
    kinds = ["BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "STRING", "BINARY", "DATE"]
    there = [Target("c", kind).type_there for kind in [*kinds, "TIMESTAMP", "DECIMAL(38,10)"]]
    assert there == [
        "BOOLEAN", "NUMBER(3,0)", "NUMBER(5,0)", "NUMBER(10,0)", "NUMBER(19,0)", "FLOAT", "FLOAT", "VARCHAR", "BINARY",
        "DATE", "TIMESTAMP_TZ", "NUMBER(38,10)",
    ]  # fmt: skip
    assert not Target("c", "DOUBLE").is_measure, "its sum depends on the order"


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_a_moment_keeps_its_microsecond_and_its_zone(moment: datetime) -> None:
    value = pa.array([moment.replace(tzinfo=UTC), None], pa.timestamp("us", tz="UTC"))
    text, nothing = conveyed(value, Target("at", "TIMESTAMP")).to_pylist()
    assert datetime.fromisoformat(text) == moment.replace(tzinfo=UTC)
    assert nothing is None


def batch(rows: int, start: int = 0) -> pa.RecordBatch:
    ids = pa.array(range(start, start + rows), pa.int64())
    notes, amounts = pa.array(["n"] * rows), pa.array([Decimal("1.25")] * rows, pa.decimal128(18, 2))
    change, version = pa.array(["insert"] * rows), pa.array([1] * rows, pa.int64())
    names = ["id", "note", "amount", CHANGE, VERSION]
    return pa.RecordBatch.from_arrays([ids, notes, amounts, change, version], names=names)


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 3000))
def test_files_are_bounded_and_hold_every_row_once(sizes: list[int], part: int) -> None:
    seen: list[int] = []
    widths: list[int] = []
    on_disk: list[int] = []

    def put(file: Path) -> None:
        table = pq.read_table(file)
        assert table.column_names == ["ID", "NOTE", "AMOUNT", "_CHANGE_TYPE", "_COMMIT_VERSION"]
        seen.extend(table["ID"].to_pylist())
        widths.append(table.num_rows)
        on_disk.append(len(list(file.parent.iterdir())))

    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    sent = parts.send((batch(n, at) for n, at in zip(sizes, starts, strict=True)), COLUMNS, put, part)
    assert sent == sum(sizes)
    assert seen == list(range(sum(sizes)))
    assert set(on_disk) <= {1}, "one at a time"
    assert all(width <= part / 8 + 50 for width in widths)


def test_what_differs_is_named_with_both_values() -> None:
    measures = [c for c in COLUMNS if c.is_measure]
    assert lake.compared(measures, [2, Decimal(3), Decimal("1.50")], [2, Decimal(3), Decimal("1.5")]) == ""
    assert lake.compared(measures, [2, Decimal(3), None], [1, Decimal(3), Decimal(1)]) == (
        "rows: 2 in the lake, 1 there; sum of amount: none in the lake, 1 there"
    )


def test_operational_columns_and_those_the_lake_lacks_stay_here() -> None:
    contract = load_contract(PROJECT / "include" / "tables" / "gold" / "fact_sales")
    found = targets(contract, frozenset({"order_id", "status", "_batch_id"}))
    assert [c.name for c in found] == ["order_id", "status"]
    assert fingerprint(found, ("order_id",)) != fingerprint(found[:1], ("order_id",))


def test_gold_goes_and_nothing_else_does_unless_it_says_so() -> None:
    tables = manifest.compile_manifest(manifest.folders(PROJECT / "include" / "tables"))
    assert {e.name for e in tables.warehoused().entries} == {e.name for e in tables.layer("gold")} != set()


def test_lineage_leads_there() -> None:
    contract = load_contract(PROJECT / "include" / "tables" / "gold" / "fact_sales")
    (output,) = lineage.of_step("warehouse", contract).outputs
    assert (output.namespace, output.name) == ("snowflake://snowflake_default", "LAKEHOUSE_GOLD.FACT_SALES")


@pytest.mark.parametrize(
    ("layer", "value", "columns", "what"),
    [
        ("gold", "'yes'", "", "warehouse 'yes'"),
        ("gold", "true", "      - {name: tags, physicalType: 'ARRAY<STRING>'}\n", "column tags is an ARRAY<STRING>"),
        ("gold", "true", "      - {name: Part, physicalType: STRING}\n", "two columns are PART there"),
        ("bronze", "true", "", "appended to holds several states of a key"),
    ],
)
def test_what_could_not_go_is_refused_with_its_line(
    tmp_path: Path, layer: str, value: str, columns: str, what: str
) -> None:
    custom = f"  - {{property: warehouse, value: {value}}}\n"
    text = BRONZE + custom if layer == "bronze" else CONTRACT.format(columns=columns, custom=custom)
    with pytest.raises(ContractError) as caught:
        load_contract(
            folder_of(tmp_path, layer, "parcels" if layer == "bronze" else "things", text, sql=layer == "gold")
        )
    ((line, told, remedy),) = caught.value.problems
    assert what in told
    assert "warehouse" in text.splitlines()[line - 1]
    assert remedy


def test_silver_may_go(tmp_path: Path) -> None:
    text = CONTRACT.format(columns="", custom="  - {property: warehouse, value: true}").replace("gold.", "silver.")
    assert load_contract(folder_of(tmp_path, "silver", "things", text, sql=True)).warehouse


@pytest.mark.parametrize("schema", ["GOLD", "A.{layer}", "{layer}; DROP"])
def test_a_schema_is_a_name_with_its_layer(schema: str) -> None:
    with pytest.raises(ValueError, match="schema"):
        WarehouseSettings(schema=schema)


@pytest.mark.parametrize(
    ("errno", "sqlstate", "kind"),
    [
        (3001, "42501", faults.WarehouseDenied),
        (625, "57014", faults.WarehouseBusy),
        (100038, "22018", faults.WarehouseFailed),
    ],
)
def test_errors_quote_nothing_of_the_statement(errno: int, sqlstate: str, kind: type[Exception]) -> None:
    from snowflake.connector.errors import ProgrammingError

    with pytest.raises(kind) as caught, faults.named("gold.fact"):
        raise ProgrammingError(msg="near 'jane@shop.example'", errno=errno, sqlstate=sqlstate)
    assert "jane" not in str(caught.value)
    assert type(caught.value) is kind
    assert caught.value.__suppress_context__
