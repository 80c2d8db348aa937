"""What rules a good contract yields: names, predicates, severities, dispositions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.clock import in_utc
from lakehouse.contracts import Contract, ContractError, Rule, load_contract
from lakehouse.contracts.properties import duration
from lakehouse.contracts.rules import literal, quote

HEAD = """\
apiVersion: v3.2.0
kind: DataContract
id: {layer}.parcels
version: 1.0.0
team: {{name: Depot, members: [{{username: depot@shop.example}}]}}
"""


def contract(tmp_path: Path, schema: str, custom: str = "", layer: str = "silver") -> Contract:
    folder = tmp_path / layer / "parcels"
    folder.mkdir(parents=True)
    (folder / "transform.sql").write_text("SELECT 1 AS one\n")
    (folder / "contract.odcs.yaml").write_text(HEAD.format(layer=layer) + schema + custom)
    return load_contract(folder)


def rules(contract: Contract) -> dict[str, Rule]:
    return {rule.name: rule for rule in contract.rules}


SCHEMA = """\
schema:
  - name: parcels
    properties:
      - {name: depot_id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 2}
      - {name: parcel_id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1}
      - {name: size, physicalType: STRING, enum: [{value: small}, {value: "l'arge"}]}
      - name: colour
        physicalType: STRING
        quality:
          - {name: colour_known, metric: invalidValues, arguments: {validValues: [red, blue]}, mustBe: 0}
      - name: code
        physicalType: STRING
        unique: true
        logicalType: string
        logicalTypeOptions: {pattern: '^\\d+$', maxLength: 9}
      - {name: weight, physicalType: INT, logicalType: integer, logicalTypeOptions: {minimum: 0, exclusiveMaximum: 50}}
      - name: van_id
        physicalType: BIGINT
        relationships:
          - to: ../vans/contract.odcs.yaml#/schema/vans/properties/van_id
            customProperties: [{property: severity, value: warning}]
      - name: driver_id
        physicalType: BIGINT
        relationships: [{to: silver.drivers.driver_id}]
    quality:
      - {name: light, type: custom, engine: sparkSql, implementation: weight < 40, severity: warning}
      - {name: few, metric: rowCount, mustBeLessThan: 100}
      - {name: sane, type: sql, query: "SELECT MAX(weight) FROM ${table}", mustBeLessThan: 50}
"""


def test_every_way_to_write_a_rule(tmp_path: Path) -> None:
    found = rules(contract(tmp_path, SCHEMA))
    assert {name: rule.kind for name, rule in found.items()} == {
        "depot_id_not_null": "not_null",
        "parcel_id_not_null": "not_null",
        "size_known": "one_of",
        "colour_known": "one_of",
        "code_wellformed": "pattern",
        "code_length": "length",
        "code_unique": "unique",
        "weight_in_range": "range",
        "van_id_references": "reference",
        "driver_id_references": "reference",
        "light": "row",
        "few": "row_count",
        "sane": "sql",
        "parcel_id_depot_id_unique": "unique",
    }
    assert found["size_known"].predicate == "`size` IS NULL OR `size` IN ('small', 'l\\'arge')"
    assert found["colour_known"].params == {"values": ["red", "blue"]}
    assert found["few"].params == {"mustBeLessThan": 100}
    assert found["sane"].params == {"query": "SELECT MAX(weight) FROM ${table}", "mustBeLessThan": 50}
    assert found["parcel_id_depot_id_unique"].columns == ("parcel_id", "depot_id")
    assert all(rule.line for rule in found.values())


def test_a_relationship_is_critical_unless_it_says_warning(tmp_path: Path) -> None:
    found = rules(contract(tmp_path, SCHEMA))
    van, driver = found["van_id_references"], found["driver_id_references"]
    assert (van.severity, van.disposition, van.params) == (
        "warning",
        "warn",
        {"table": "silver.vans", "column": "van_id"},
    )
    assert (driver.severity, driver.disposition) == ("critical", "fail")
    assert driver.params == {"table": "silver.drivers", "column": "driver_id"}


def test_a_warning_warns_and_row_rules_after_bronze_fail(tmp_path: Path) -> None:
    found = rules(contract(tmp_path, SCHEMA))
    assert (found["light"].severity, found["light"].disposition) == ("warning", "warn")
    assert found["parcel_id_not_null"].disposition == "fail"


TOLERANT = """\
schema:
  - name: parcels
    properties:
      - {name: parcel_id, physicalType: BIGINT, primaryKey: true}
      - name: weight
        physicalType: INT
        quality:
          - {name: weighed, metric: nullValues, mustBeLessThan: 0.5, unit: percent}
          - {name: weighed_all, metric: nullValues, mustBe: 0}
          - {name: two_digits, metric: invalidValues, arguments: {pattern: '^..$'}, mustBeLessThan: 3}
      - name: van_id
        physicalType: BIGINT
        relationships:
          - to: silver.vans.van_id
            customProperties: [{property: tolerance, value: {rows: 10}}]
    quality:
      - {name: few_twice, metric: duplicateValues, arguments: {properties: [weight]}, mustBeLessOrEqualTo: 1,
         unit: percent}
      - name: light
        type: custom
        engine: sparkSql
        implementation: weight < 40
        customProperties: [{property: tolerance, value: {percent: 0.5}}]
      - name: volume
        metric: rowCount
        mustBeBetween: [50, 200]
        customProperties: [{property: comparedWithRuns, value: 7}]
      - {name: fresh, type: sql, query: "SELECT datediff(HOUR, MAX(at), ${run_end}) FROM ${table}", mustBeLessThan: 26}
"""


def test_tolerances_in_the_words_of_the_standard_or_our_own(tmp_path: Path) -> None:
    found = {n: (r.kind, r.disposition, r.params) for n, r in rules(contract(tmp_path, TOLERANT)).items()}
    percent, half = {"unit": "percent"}, {"mustBeLessOrEqualTo": 0.5, "unit": "percent"}
    assert found["weighed"] == ("not_null", "fail", {"mustBeLessThan": 0.5, **percent})
    assert found["weighed_all"] == ("not_null", "fail", {})
    assert found["two_digits"] == ("pattern", "fail", {"regex": "^..$", "mustBeLessThan": 3, "unit": "rows"})
    assert found["van_id_references"][2] == {
        "table": "silver.vans",
        "column": "van_id",
        "mustBeLessOrEqualTo": 10,
        "unit": "rows",
    }
    assert found["few_twice"] == ("unique", "fail", {"mustBeLessOrEqualTo": 1, **percent})
    assert found["light"] == ("row", "fail", half)
    assert found["volume"] == ("row_count", "fail", {"mustBeBetween": [50, 200], "compared_with_runs": 7})
    assert found["fresh"][2]["mustBeLessThan"] == 26


def test_a_rule_that_bears_bad_rows_sets_none_aside(tmp_path: Path) -> None:
    """Otherwise quarantine would leave it nothing to count."""
    folder = tmp_path / "bronze" / "parcels"
    folder.mkdir(parents=True)
    text = HEAD.format(layer="bronze") + TOLERANT.replace("datediff(HOUR, MAX(at), ${run_end})", "1")
    asks = "      - {name: whole, type: custom, engine: lakehouse, implementation: {source: {sum: weight}}}\n"
    (folder / "contract.odcs.yaml").write_text(text + asks + SOURCE)
    found = {name: (r.disposition, r.severity) for name, r in rules(load_contract(folder)).items()}
    assert found["weighed_all"] == ("quarantine", "critical")
    assert found["whole"] == ("fail", "critical")
    assert {found[name] for name in ("weighed", "two_digits", "few_twice", "light", "volume")} == {("fail", "critical")}


SOURCE = """\
customProperties:
  - property: source
    value:
      connection: depot
      type: snowflake
      object: D.P.PARCELS
      cursor: parcel_id
      initialValue: 2025-09-01
      lookback: P1DT2H
"""


def test_bronze_quarantines_rows_and_allows_several_states_of_a_key(tmp_path: Path) -> None:
    folder = tmp_path / "bronze" / "parcels"
    folder.mkdir(parents=True)
    (folder / "contract.odcs.yaml").write_text(HEAD.format(layer="bronze") + SCHEMA + SOURCE)
    loaded = load_contract(folder)
    assert {r.disposition for r in loaded.row_rules} == {"quarantine", "warn"}
    assert rules(loaded)["few"].disposition == "fail"
    assert "parcel_id_depot_id_unique" not in rules(loaded)
    assert loaded.source is not None
    assert loaded.source.initial_value == datetime(2025, 9, 1, tzinfo=UTC)
    assert loaded.source.lookback == timedelta(days=1, hours=2)
    assert loaded.source.watermark_key == "depot_d_p_parcels"


def test_a_row_without_a_cursor_is_at_fault(tmp_path: Path) -> None:
    """ING-2: it lies in no window, and would come again with every load."""
    folder = tmp_path / "bronze" / "parcels"
    folder.mkdir(parents=True)
    source = SOURCE.replace("cursor: parcel_id", "cursor: code")
    (folder / "contract.odcs.yaml").write_text(HEAD.format(layer="bronze") + SCHEMA + source)
    loaded = load_contract(folder)
    assert loaded.column("code").required
    assert rules(loaded)["code_not_null"].disposition == "quarantine"


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("physicalType: INT, logicalType: integer, logicalTypeOptions: {multipleOf: 5}", "multipleOf makes no rule"),
        ("physicalType: INT, logicalType: integer, logicalTypeOptions: {minimum: 0.5}", "minimum 0.5 is no INT"),
        (
            'physicalType: "DECIMAL(10,2)", logicalType: number, logicalTypeOptions: {maximum: 99.999}',
            r"maximum 99.999 is no DECIMAL\(10,2\)",
        ),
        (
            "physicalType: STRING, logicalType: string, logicalTypeOptions: {minLength: 3}, "
            "customProperties: [{property: protect, value: tokenise}]",
            "judged after it was tokenised",
        ),
        (
            "physicalType: STRING, quality: [{name: known, metric: invalidValues, mustBe: 0, "
            "arguments: {validValues: [a], pattern: b}}]",
            "both validValues and pattern",
        ),
        (
            "physicalType: STRING, quality: [{name: full, metric: nullValues, mustBe: 0, "
            "arguments: {missingValues: [x]}}]",
            "missingValues",
        ),
        ("physicalType: STRING, classification: PII", "column x is pii and not protected"),
    ],
)
def test_what_would_hold_nobody_to_anything_is_refused(tmp_path: Path, column: str, told: str) -> None:
    folder = tmp_path / "bronze" / "parcels"
    folder.mkdir(parents=True)
    schema = f"""\
schema:
  - name: parcels
    properties:
      - {{name: parcel_id, physicalType: BIGINT, primaryKey: true}}
      - {{name: x, {column}}}
"""
    (folder / "contract.odcs.yaml").write_text(HEAD.format(layer="bronze") + schema + SOURCE)
    with pytest.raises(ContractError, match=told):
        load_contract(folder)


def test_a_protected_column_is_judged_by_its_token(tmp_path: Path) -> None:
    schema = """\
schema:
  - name: parcels
    properties:
      - {name: parcel_id, physicalType: BIGINT, primaryKey: true}
      - name: receiver
        logicalType: string
        physicalType: STRING
        logicalTypeOptions: {pattern: '@'}
        customProperties: [{property: protect, value: tokenise}]
"""
    rule = rules(contract(tmp_path, schema))["receiver_wellformed"]
    assert rule.predicate == "`receiver` IS NULL OR NOT startswith(`receiver`, 'malformed:')"


@pytest.mark.parametrize(
    ("text", "hours"), [("PT6H", 6), ("P1D", 24), ("P1DT1H", 25), ("PT90M", 1.5), ("PT3600S", 1), ("P0D", 0)]
)
def test_durations(text: str, hours: float) -> None:
    assert duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "P", "PT", "6H", "P1M", "P1Y", "PT-1H", "PT1.5H", None, 6])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        duration(text)


def test_moments_are_utc() -> None:
    assert in_utc("2025-09-01T02:00:00+02:00") == in_utc("2025-09-01") == datetime(2025, 9, 1, tzinfo=UTC)


def test_literals_and_identifiers_are_quoted() -> None:
    assert [literal(v) for v in (None, True, 5, 1.5, "a'b\\c")] == ["NULL", "TRUE", "5", "1.5", "'a\\'b\\\\c'"]
    assert quote("a`b") == "`a``b`"


PRECEDENCE = """\
schema:
  - name: parcels
    properties:
      - {name: parcel_id, physicalType: BIGINT, primaryKey: true}
      - name: colour
        physicalType: STRING
        customProperties: [{property: precedence, value: %s}]
"""


def test_which_source_wins_is_read(tmp_path: Path) -> None:
    found = contract(tmp_path, PRECEDENCE % "[bronze.a, silver.b]")
    assert [column.precedence for column in found.columns] == [(), ("bronze.a", "silver.b")]


@pytest.mark.parametrize("value", ["bronze.a", "[a]", "[bronze.a, bronze.a]", "[1]", "{bronze.a: 1}"])
def test_a_precedence_lists_tables_each_once(tmp_path: Path, value: str) -> None:
    with pytest.raises(ContractError, match="column colour: precedence"):
        contract(tmp_path, PRECEDENCE % value)
