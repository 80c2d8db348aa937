"""A wrong contract is refused with the line at fault, what is wrong with it, and a remedy."""

from pathlib import Path

import pytest

from lakehouse.contracts import ContractError, load_contract

BRONZE = """\
apiVersion: v3.1.0
kind: DataContract
id: bronze.parcels
name: Parcels
version: 1.0.0
team:
  name: Depot
  members:
    - username: depot@shop.example
schema:
  - name: parcels
    properties:
      - name: parcel_id
        physicalType: BIGINT
        primaryKey: true
      - name: sent_at
        physicalType: TIMESTAMP
        required: true
      - name: receiver
        logicalType: string
        physicalType: STRING
        classification: pii
        logicalTypeOptions:
          pattern: '^[A-Z]+$'
        customProperties:
          - {property: protect, value: tokenise}
      - name: weight
        physicalType: DECIMAL(9,3)
        relationships:
          - to: scales.weight.grams
        quality:
          - name: weight_positive
            type: custom
            engine: sparkSql
            implementation: weight IS NULL OR weight > 0
            severity: critical
            customProperties:
              - {property: disposition, value: quarantine}
    quality:
      - name: has_rows
        metric: rowCount
        mustBeGreaterThan: 0
      - name: none_in_a_hurry
        type: sql
        query: SELECT COUNT(*) FROM ${table} WHERE weight > 9
        mustBe: 0
customProperties:
  - property: source
    value:
      connection: depot_default
      type: snowflake
      object: DEPOT.PUBLIC.PARCELS
      cursor: sent_at
      initialValue: "2025-09-01T00:00:00Z"
      lookback: PT6H
  - {property: strategy, value: append}
  - {property: quarantineThreshold, value: 0.1}
"""

SCD2 = """\
apiVersion: v3.1.0
kind: DataContract
id: gold.dim_van
name: Vans
version: 1.0.0
team:
  name: Depot
  members:
    - username: depot@shop.example
schema:
  - name: dim_van
    properties:
      - {name: van_sk, physicalType: BIGINT, primaryKey: true}
      - {name: van_id, physicalType: BIGINT}
      - {name: valid_from, physicalType: TIMESTAMP}
      - {name: valid_to, physicalType: TIMESTAMP}
      - {name: is_current, physicalType: BOOLEAN}
      - {name: colour, physicalType: STRING}
customProperties:
  - {property: strategy, value: scd2}
  - property: scd2
    value:
      surrogateKey: van_sk
      tracked: [colour]
      opensAt: "1900-01-01T00:00:00Z"
      unknownMember: {van_id: -1}
"""


def folder_of(tmp_path: Path, layer: str, table: str, text: str, sql: bool) -> Path:
    folder = tmp_path / layer / table
    folder.mkdir(parents=True)
    (folder / "contract.odcs.yaml").write_text(text)
    if sql:
        (folder / "transform.sql").write_text("SELECT 1 AS one\n")
    return folder


def bronze(tmp_path: Path, text: str = BRONZE) -> Path:
    return folder_of(tmp_path, "bronze", "parcels", text, sql=False)


def scd2(tmp_path: Path, text: str = SCD2) -> Path:
    return folder_of(tmp_path, "gold", "dim_van", text, sql=True)


def problems_of(folder: Path) -> list[tuple[int, str, str]]:
    with pytest.raises(ContractError) as caught:
        load_contract(folder)
    for line, what, remedy in caught.value.problems:
        assert f"{folder / 'contract.odcs.yaml'}:{line}: {what}" in str(caught.value)
        assert remedy in str(caught.value)
        assert remedy.endswith(".")
    return caught.value.problems


def test_the_models_of_these_tests_are_good_contracts(tmp_path: Path) -> None:
    assert load_contract(bronze(tmp_path)).name == "bronze.parcels"
    assert load_contract(scd2(tmp_path)).scd2 is not None


#: (what to replace, by what, text of the line that must be named, words of the complaint, words of the remedy)
BROKEN_BRONZE = {
    "no YAML": ("kind: DataContract", "kind: [", "name: Parcels", "not valid YAML", "Mend the YAML"),
    "key twice": ("version: 1.0.0", "version: 1.0.0\nversion: 2.0.0", "version: 2.0.0", "written twice", "Keep one"),
    "no mapping": (BRONZE, "- just\n- a list\n", "- just", "not a mapping", "apiVersion"),
    "not the standard": ("kind: DataContract", "kind: Treaty", "kind: Treaty", "'Treaty'", "Open Data Contract"),
    "no version": ("version: 1.0.0\n", "", "apiVersion", "'version' is a required", "Open Data Contract"),
    "stray word": ("name: Parcels\n", "nmae: Parcels\n", "apiVersion", "'nmae'", "Open Data Contract"),
    "wrong id": ("id: bronze.parcels", "id: bronze.packages", "id: bronze.packages", "is not 'bronze.parcels'", "id"),
    "other table": ("  - name: parcels", "  - name: boxes", "schema:", "exactly one object", "'parcels'"),
    "no owner": ("depot@shop.example", "somebody", "team:", "no owner", "mail address"),
    "unknown property": ("property: strategy", "property: stratgey", "stratgey", "unknown custom", "publishGroup"),
    "property twice": (
        "  - {property: strategy, value: append}",
        "  - {property: strategy, value: append}\n  - {property: strategy, value: merge}",
        "value: merge",
        "written twice",
        "Keep one",
    ),
    "protected, no text": (
        "physicalType: DECIMAL(9,3)",
        "physicalType: DECIMAL(9,3)\n        customProperties: [{property: protect, value: mask}]",
        "name: weight",
        "protect makes text of it",
        "STRING",
    ),
    "text for a truth": (
        "cursor: sent_at",
        "cursor: sent_at\n      emptyIsError: 'false'",
        "emptyIsError",
        "is 'false'",
        "true or false",
    ),
    "cursor is a list": ("cursor: sent_at", "cursor: [sent_at]", "cursor: [", "is no column", "Name one of"),
    "unknown strategy": ("value: append", "value: upsert", "value: upsert", "'upsert'", "scd2"),
    "threshold": ("value: 0.1}", "value: plenty}", "plenty", "quarantineThreshold 'plenty'", "between 0 and 1"),
    "threshold over 1": ("value: 0.1}", "value: 10}", "value: 10", "quarantineThreshold '10'", "between 0 and 1"),
    "no type": ("        physicalType: TIMESTAMP\n", "", "name: sent_at", "no physicalType", "Spark SQL type"),
    "unknown type": ("TIMESTAMP", "DATETIME", "name: sent_at", "'DATETIME' is unknown", "DECIMAL(18,2)"),
    "scale too big": ("DECIMAL(9,3)", "DECIMAL(3,9)", "name: weight", "'DECIMAL(3,9)'", "DECIMAL(18,2)"),
    "operational name": ("name: weight\n", "name: _weight\n", "name: _weight", "'_weight'", "leading _"),
    "column twice": ("name: weight\n", "name: sent_at\n", "name: sent_at", "'sent_at'", "unique"),
    "no key": ("        primaryKey: true\n", "", "- name: parcels", "no primary key", "primaryKey: true"),
    "pii in the clear": (
        "        customProperties:\n          - {property: protect, value: tokenise}\n",
        "",
        "name: receiver",
        "receiver is pii and not protected",
        "tokenise or mask",
    ),
    "unknown protection": ("value: tokenise", "value: rot13", "name: receiver", "'rot13'", "tokenise or mask"),
    "precedence in bronze": (
        "{property: protect, value: tokenise}",
        "{property: precedence, value: [bronze.parcels]}\n          - {property: protect, value: tokenise}",
        "name: receiver",
        "precedence in bronze",
        "one source",
    ),
    "bad pattern": ("'^[A-Z]+$'", "'^[A-Z+$'", "pattern:", "no regular expression", "Mend"),
    "bad reference": ("to: scales.weight.grams", "to: weight.grams", "weight.grams", "relationship to", "<layer>"),
    "bad reference severity": (
        "          - to: scales.weight.grams\n",
        "          - to: scales.weight.grams\n            customProperties:\n"
        "              - {property: severity, value: fatal}\n",
        "to: scales",
        "severity 'fatal'",
        "critical or warning",
    ),
    "relationship of the table": (
        "    quality:\n      - name: has_rows",
        "    relationships:\n      - {from: parcels.weight, to: scales.grams}\n    quality:\n      - name: has_rows",
        "    relationships:",
        "relationship of the table",
        "under its column",
    ),
    "rule without a name": (
        "          - name: weight_positive\n            type",
        "          - type",
        "- type",
        "no name",
        "Name it",
    ),
    "rule twice": ("name: has_rows", "name: weight_positive", "- name: weight_positive", "defined twice", "Rename"),
    "bad severity": ("severity: critical", "severity: info", "name: weight_positive", "severity 'info'", "warning"),
    "bad disposition": ("value: quarantine}", "value: shrug}", "name: weight_positive", "'shrug'", "quarantine, warn"),
    "table rule quarantines": (
        "        mustBeGreaterThan: 0\n",
        "        mustBeGreaterThan: 0\n        customProperties:\n"
        "          - {property: disposition, value: quarantine}\n",
        "name: has_rows",
        "cannot quarantine",
        "fail or warn",
    ),
    "metric without column": ("metric: rowCount", "metric: nullValues", "name: has_rows", "nullValues", "on a column"),
    "tolerance": (
        "metric: rowCount\n        mustBeGreaterThan: 0",
        "metric: duplicateValues\n        arguments: {properties: [weight]}\n"
        "        mustBeLessThan: 5\n        unit: kg",
        "name: has_rows",
        "unit 'kg'",
        "percent",
    ),
    "tolerance where operators are": (
        "mustBeGreaterThan: 0",
        "mustBeGreaterThan: 0\n        customProperties: [{property: tolerance, value: {rows: 1}}]",
        "name: has_rows",
        "tolerance",
        "an operator",
    ),
    "tolerance of everything": (
        "metric: rowCount\n        mustBeGreaterThan: 0",
        "type: custom\n        engine: sparkSql\n        implementation: weight > 0\n"
        "        customProperties: [{property: tolerance, value: {percent: 100}}]",
        "name: has_rows",
        "tolerance {'percent': 100}",
        "half a percent",
    ),
    "tolerance of a row that is set aside": (
        "metric: rowCount\n        mustBeGreaterThan: 0",
        "type: custom\n        engine: sparkSql\n        implementation: weight > 0\n        customProperties: "
        "[{property: tolerance, value: {rows: 1}}, {property: disposition, value: quarantine}]",
        "name: has_rows",
        "cannot quarantine",
        "fail or warn",
    ),
    "compared with nothing": (
        "mustBeGreaterThan: 0",
        "mustBeGreaterThan: 0\n        customProperties: [{property: comparedWithRuns, value: week}]",
        "name: has_rows",
        "comparedWithRuns 'week'",
        "from 1 to 100",
    ),
    "bad rows compared": (
        "metric: rowCount\n        mustBeGreaterThan: 0",
        "metric: duplicateValues\n        arguments: {properties: [weight]}\n        mustBe: 0\n"
        "        customProperties: [{property: comparedWithRuns, value: 7}]",
        "name: has_rows",
        "comparedWithRuns on bad rows",
        "rowCount",
    ),
    "question to the source": (
        "metric: rowCount\n        mustBeGreaterThan: 0",
        "type: custom\n        engine: lakehouse\n        implementation: {source: columns}",
        "name: has_rows",
        "implementation {'source': 'columns'}",
        "source: rows",
    ),
    "sum of no column": (
        "metric: rowCount\n        mustBeGreaterThan: 0",
        "type: custom\n        engine: lakehouse\n        implementation: {source: {sum: hight}}",
        "name: has_rows",
        "no such column: hight",
        "Name a column",
    ),
    "rule on no column": (
        "metric: rowCount\n        mustBeGreaterThan: 0",
        "metric: duplicateValues\n        arguments: {properties: [hight]}\n        mustBe: 0",
        "name: has_rows",
        "no such column: hight",
        "columns of this contract",
    ),
    "predicate without sense": ("weight > 0", "weight >", "name: weight_positive", "not valid Spark SQL", "Mend"),
    "predicate on a stranger": ("weight > 0", "hight > 0", "name: weight_positive", "names no column", "Mend"),
    "predicate on other rows": (
        "weight > 0",
        "weight > (SELECT 0)",
        "name: weight_positive",
        "reads other rows",
        "Mend",
    ),
    "query of nothing": ("FROM ${table}", "FROM bronze.parcels", "none_in_a_hurry", "${table}", "SELECT of one value"),
    "query of two values": (
        "SELECT COUNT(*)",
        "SELECT 1, 2",
        "none_in_a_hurry",
        "more than one value",
        "SELECT of one",
    ),
    "query that writes": ("SELECT COUNT(*) FROM", "DELETE FROM", "none_in_a_hurry", "not a SELECT", "SELECT of one"),
    "no cursor": ("      cursor: sent_at\n", "", "value:", "source.cursor is missing", "Add it"),
    "cursor is no column": (
        "cursor: sent_at",
        "cursor: send_at",
        "cursor: send_at",
        "'send_at' is no column",
        "columns",
    ),
    "unknown source entry": ("lookback: PT6H", "lookbakc: PT6H", "lookbakc", "source.lookbakc is unknown", "lookback"),
    "bad duration": ("lookback: PT6H", "lookback: 6 hours", "lookback: 6 hours", "'6 hours' is no ISO", "PT6H"),
    "empty duration": ("lookback: PT6H", "lookback: PT", "lookback: PT", "'PT' is no ISO", "PT6H"),
    "bad moment": ('"2025-09-01T00:00:00Z"', "yesterday", "initialValue", "yesterday", "ISO 8601"),
    "unknown type of source": (
        "type: snowflake",
        "type: carrier pigeon",
        "type:",
        "'carrier pigeon' is unknown",
        "http",
    ),
    "option of nobody": (
        "lookback: PT6H",
        "options: {path: x}",
        "options:",
        "options.path is unknown",
        "Known: sliceRows",
    ),
    "options that are a list": ("lookback: PT6H", "options: [x]", "options:", "is no mapping", "names and values"),
    "option missing": (
        "type: snowflake",
        "type: http\n      options: {low: a}",
        "options:",
        "source.options.high is missing",
        "type http needs it",
    ),
    "option of another type": (
        "type: snowflake",
        "type: http\n      options: {low: a, high: 3}",
        "options:",
        "source.options.high is no str",
        "Mend",
    ),
    "step of nothing": (
        "type: snowflake",
        "type: http\n      options: {low: a, high: b, stepMinutes: 0}",
        "options:",
        "source.options.stepMinutes is 0",
        "above 0",
    ),
    "source is text": (
        BRONZE[BRONZE.index("    value:\n      connection") : BRONZE.index("  - {property: strategy")],
        "    value: depot\n",
        "value: depot",
        "not a mapping",
        "connection",
    ),
}


@pytest.mark.parametrize("case", BROKEN_BRONZE)
def test_a_broken_bronze_contract_names_line_fault_and_remedy(tmp_path: Path, case: str) -> None:
    old, new, line_text, what, remedy = BROKEN_BRONZE[case]
    assert BRONZE.count(old) >= 1
    text = BRONZE.replace(old, new, 1)
    found = problems_of(bronze(tmp_path, text))
    lines = text.splitlines()
    matching = [p for p in found if what in p[1] and remedy in p[2]]
    assert matching, found
    assert any(line_text in lines[line - 1] for line, _, _ in matching), found


BROKEN_SCD2 = {
    "no scd2": (SCD2[SCD2.index("  - property: scd2") :], "", "customProperties:", "scd2 is missing", "surrogateKey"),
    "no tracked": ("      tracked: [colour]\n", "", "value:", "scd2.tracked is missing", "Add it"),
    "tracked stranger": ("[colour]", "[color]", "tracked:", "does not list columns", "open a version"),
    "tracked text": ("[colour]", "colour", "tracked:", "does not list columns", "open a version"),
    "which is the key": (
        "      - {name: colour, physicalType: STRING}\n",
        "      - {name: colour, physicalType: STRING}\n      - {name: plate, physicalType: STRING}\n",
        "value:",
        "van_id, plate: which of them is the key",
        "scd2.key",
    ),
    "key is tracked": ("tracked:", "key: [colour]\n      tracked:", "key:", "scd2.key does not list", "business key"),
    "unknown entry": ("tracked:", "watched:", "watched:", "scd2.watched is unknown", "tracked"),
    "other surrogate": ("surrogateKey: van_sk", "surrogateKey: van_id", "surrogateKey", "'van_id'", "only key"),
    "no validity": ("      - {name: valid_to, physicalType: TIMESTAMP}\n", "", "value:", "column valid_to", "Add it"),
    "validity type": (
        "valid_to, physicalType: TIMESTAMP",
        "valid_to, physicalType: DATE",
        "value:",
        "TIMESTAMP",
        "Add",
    ),
    "opens never": ('"1900-01-01T00:00:00Z"', "never", "opensAt", "scd2.opensAt", "ISO 8601"),
    "unknown member": ("{van_id: -1}", "{bus_id: -1}", "unknownMember", "names no column", "Map"),
    "wrong strategy": ("value: scd2}", "value: merge}", "value:", "scd2 with strategy 'merge'", "Drop scd2"),
}


@pytest.mark.parametrize("case", BROKEN_SCD2)
def test_a_broken_scd2_contract_names_line_fault_and_remedy(tmp_path: Path, case: str) -> None:
    old, new, line_text, what, remedy = BROKEN_SCD2[case]
    text = SCD2.replace(old, new, 1)
    assert text != SCD2
    found = problems_of(scd2(tmp_path, text))
    matching = [p for p in found if what in p[1] and remedy in p[2]]
    assert matching, found
    assert any(line_text in text.splitlines()[line - 1] for line, _, _ in matching), found


def test_all_problems_are_told_at_once_in_order_of_lines(tmp_path: Path) -> None:
    text = BRONZE.replace("TIMESTAMP", "DATETIME").replace("lookback: PT6H", "lookback: soon").replace("depot@", "")
    lines = [line for line, _, _ in problems_of(bronze(tmp_path, text))]
    assert len(lines) == 3
    assert lines == sorted(lines)


def test_a_folder_without_contract_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bronze" / "parcels").mkdir(parents=True)
    assert "no contract" in problems_of(tmp_path / "bronze" / "parcels")[0][1]


def test_a_contract_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = bronze(tmp_path)
    (folder / "contract.odcs.yaml").write_bytes("name: Päckchen".encode("latin-1"))
    assert "not UTF-8" in problems_of(folder)[0][1]


def test_a_table_needs_a_source_or_a_transform_and_not_both(tmp_path: Path) -> None:
    neither = folder_of(tmp_path / "a", "gold", "dim_van", SCD2, sql=False)
    assert "neither a source nor a transform.sql" in problems_of(neither)[0][1]
    both = folder_of(tmp_path / "b", "bronze", "parcels", BRONZE, sql=True)
    assert "both a source and a transform.sql" in problems_of(both)[0][1]
