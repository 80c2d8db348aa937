"""Which rules bind rows for good, what a version says of them, and what of the others' rows a part is held against."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.contracts import Column, Contract, Rule
from lakehouse.delta import statistics
from lakehouse.quality import GateResult, RuleResult
from lakehouse.quality.known import Known, Part
from lakehouse.quality.measure import CANDIDATE, PART, measure
from lakehouse.quality.part import confined, definition, kept, still_kept
from tests.unit.test_quality_measure import contract as contract_of

COLUMNS = (
    *(Column("id", "BIGINT"), Column("day", "DATE"), Column("price", "DECIMAL(9,2)")),
    *(Column("note", "STRING"), Column("at", "TIMESTAMP")),
)
UNIQUE = Rule("id_unique", "unique", ("id", "note"))
LIGHT = Rule("light", "row", (), predicate="price < 40 -- kg")
VAN = Rule("van", "reference", ("id",), params={"table": "silver.vans", "column": "van_id"})


def contract(*rules: Rule) -> Contract:
    return replace(contract_of(*rules), columns=COLUMNS)


def found(**values: float | None) -> GateResult:
    results = (RuleResult(name, "row", "critical", not value, None, "", "", value) for name, value in values.items())
    return GateResult("silver.parcels", "b", "r", True, tuple(results), 1.0)


def test_kept_is_what_no_row_breaks() -> None:
    few = Rule("few", "unique", ("note",), params={"mustBeLessThan": 5, "unit": "percent"})
    told = kept(contract(UNIQUE, LIGHT, VAN, few), found(id_unique=0.0, light=3.0, van=0.0, few=0.0))
    assert told.keys() == {"id_unique", "van", "few"}
    assert still_kept(contract(UNIQUE, LIGHT, VAN), told) == {"id_unique", "van"}
    # Nobody counted, or the rule speaks of the table.
    assert kept(contract(LIGHT), found(light=None)) == {}
    rows = Rule("rows", "row_count", (), params={"mustBeLessThan": 5})
    query = Rule("query", "sql", (), params={"query": "SELECT 0 FROM ${table}", "mustBe": 0})
    assert kept(contract(rows, query), found(rows=0.0, query=0.0)) == {}


@pytest.mark.parametrize(
    "other",
    [
        replace(UNIQUE, columns=("id",)),
        replace(UNIQUE, params={"unit": "percent", "mustBeLessThan": 1}),
        replace(UNIQUE, kind="reference", params={"table": "silver.vans", "column": "id"}),
    ],
)
def test_another_rule_of_the_same_name_is_another(other: Rule) -> None:
    assert definition(contract(UNIQUE), UNIQUE) != definition(contract(other), other)
    assert not still_kept(contract(other), {"id_unique": definition(contract(UNIQUE), UNIQUE)})


def test_words_and_severity_are_not_the_rule_and_types_are() -> None:
    same = replace(UNIQUE, severity="warning", description="Once.", line=7)
    assert definition(contract(UNIQUE), UNIQUE) == definition(contract(same), same)
    moved = replace(contract(UNIQUE), columns=(Column("id", "INT"), *COLUMNS[1:]))
    assert definition(contract(UNIQUE), UNIQUE) != definition(moved, UNIQUE)


@pytest.mark.parametrize(
    ("predicate", "lasting"),
    [
        ("price < 40 -- kg", True),
        ("`price` IS NULL OR (`price` BETWEEN 1 AND 2 AND length(note) > 3)", True),
        ("note RLIKE '^a' AND at >= TIMESTAMP'2025-01-01'", True),
        ("at < current_timestamp()", False),
        ("at < now()", False),
        ("day <= current_date", False),
        ("day <= CURRENT_DATE()", False),
        ("unix_timestamp() > 0", False),
        ("rand(7) < 2", False),
        ("note <> uuid()", False),
        ("day <= DATE'today'", False),
        ("day <= DATE' Today UTC'", False),
        ("day <= DATE'today\tUTC'", False),
        ("at < TIMESTAMP'yesterday Europe/Berlin'", False),
        ("day <= CAST('to' || 'day' AS DATE)", False),
        ("note = 'the nowhere of today'", True),
        ("CAST(note AS DATE) < DATE'2025-01-01'", True),
        ("current_time(3) IS NOT NULL", False),
        ("note <> randstr(3)", False),
        ("uniform(1, 10) > 2", False),
        ("at < localtimestamp", False),
        ("note = current_user()", False),
        ("note = input_file_name()", False),
        ("an_unheard_of(note)", False),
        ("_metadata.file_size > 0", False),
        ("id IN (SELECT id FROM silver.other)", False),
    ],
)
def test_what_tells_of_the_moment_binds_no_row_for_good(predicate: str, lasting: bool) -> None:
    rule = replace(LIGHT, predicate=predicate)
    assert bool(kept(contract(rule), found(light=0.0))) is lasting


def test_a_table_that_refers_to_itself_is_looked_at_whole() -> None:
    rule = replace(VAN, params={"table": "silver.parcels", "column": "id"})
    assert kept(contract(rule), found(van=0.0)) == {}


def added(folder: Path, *files: list[Any]) -> Any:
    for rows in files:
        names = {column.name: kind for column, kind in zip(COLUMNS, KINDS, strict=True)}
        write_deltalake(folder, pa.Table.from_pylist(rows, schema=pa.schema(names)), mode="append")
    return statistics(str(folder))


KINDS = (pa.int64(), pa.date32(), pa.decimal128(9, 2), pa.string(), pa.timestamp("us", "UTC"))
ROW = {"id": 3, "day": date(2025, 1, 2), "price": Decimal("-1.50"), "note": "n"}


@pytest.mark.parametrize(
    ("columns", "within"),
    [
        (("id",), "`id` BETWEEN CAST(-3 AS BIGINT) AND CAST(3 AS BIGINT)"),
        (
            ("day", "price"),
            "`day` BETWEEN CAST('2025-01-02' AS DATE) AND CAST('2025-02-01' AS DATE) AND "
            "`price` BETWEEN CAST('-1.50' AS DECIMAL(9,2)) AND CAST('12.00' AS DECIMAL(9,2))",
        ),
        # Text is cut and times are cut: their bounds would leave out rows.
        (("note", "at"), ""),
    ],
)
def test_a_key_repeats_within_the_bounds_of_new_files(tmp_path: Path, columns: tuple[str, ...], within: str) -> None:
    other = {"id": -3, "day": date(2025, 2, 1), "price": Decimal(12), "note": "m"}
    told = added(tmp_path / "t", [ROW], [other])
    rule = replace(UNIQUE, columns=columns)
    assert confined(contract(rule), {"id_unique"}, "p", 9, told) == Part("p", 9, {"id_unique": within})
    assert confined(contract(rule), set(), "p", 9, told).rules == {}


def test_what_is_referred_to_is_confined_by_its_own_name(tmp_path: Path) -> None:
    told = added(tmp_path / "t", [ROW])
    within = "`van_id` BETWEEN CAST(3 AS BIGINT) AND CAST(3 AS BIGINT)"
    assert confined(contract(VAN), {"van"}, "p", 9, told).rules == {"van": within}


def test_without_a_new_row_nothing_is_looked_at(tmp_path: Path) -> None:
    told = added(tmp_path / "t", [])
    assert confined(contract(UNIQUE, LIGHT), {"id_unique", "light"}, "p", 9, told).rules == {
        "id_unique": "false AND false",
        "light": "",
    }


def view(table: str) -> str:
    return {CANDIDATE: "whole", PART: "part", "silver.vans": "vans"}[table]


def expression(rule: Rule, rules: dict[str, str], **known: Any) -> str:
    return measure(contract(rule), rule, view, Known(part=Part("p", 9, rules), **known))


def test_measures_of_a_part_speak_of_the_candidate() -> None:
    assert expression(LIGHT, {"light": ""}) == "count_if(NOT coalesce((price < 40 -- kg\n), false))"
    assert expression(LIGHT, {}) == "(SELECT count_if(NOT coalesce((price < 40 -- kg\n), false)) FROM whole)"
    assert expression(Rule("rows", "row_count", (), params={"mustBe": 9}), {}) == "9"
    share = replace(LIGHT, params={"mustBeLessThan": 1, "unit": "percent"})
    assert expression(share, {"light": ""}).endswith("CAST(9 AS DOUBLE))")
    once = replace(UNIQUE, columns=("id",))
    assert "FROM whole WHERE `id` IS NOT NULL AND `id` < 5 GROUP BY" in expression(once, {"id_unique": "`id` < 5"})
    assert "FROM whole WHERE `id` IS NOT NULL GROUP BY" in expression(once, {})
    dense = expression(once, {"id_unique": "`id` < 5"}, dense=frozenset({"id_unique"}))
    assert "FROM whole WHERE `id` IS NOT NULL AND `id` < 5 GROUP BY shiftright" in dense
    assert (
        "FROM part AS this LEFT ANTI JOIN (SELECT `van_id` FROM vans WHERE `van_id` < 5) AS other ON"
    ) in expression(VAN, {"van": "`van_id` < 5"})
    assert "FROM part AS this LEFT ANTI JOIN vans AS other ON" in expression(VAN, {"van": ""})
    assert "FROM whole AS this LEFT ANTI JOIN vans AS other ON" in expression(VAN, {})
