"""The gate on a real Connect session with real Great Expectations: every kind of rule, passing and failing (DQ-6)."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lakehouse.contracts import load_contract
from lakehouse.delta import statistics
from lakehouse.quality import GateFailed, RuleError, build_suite, check, record
from lakehouse.quality.engine import quiet
from lakehouse.quality.known import Known
from lakehouse.quality.statistics import with_statistics
from lakehouse.quality.suite import NOTHING_KNOWN

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: silver.parcels
version: 1.0.0
status: active
team: {name: Depot, members: [{username: depot@shop.example}]}
customProperties: [{property: strategy, value: merge}]
schema:
  - name: parcels
    properties:
"""

COLUMNS = """\
      - {name: parcel_id, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: leg, physicalType: INT, primaryKey: true, primaryKeyPosition: 2, required: true}
      - name: size
        physicalType: STRING
        quality: [{name: size_known, metric: invalidValues, arguments: {validValues: [small, large]}, mustBe: 0}]
      - name: mail
        physicalType: STRING
        logicalType: string
        logicalTypeOptions: {pattern: '^\\S+@\\S+$', maxLength: 20}
      - name: weight
        physicalType: DECIMAL(9,2)
        logicalType: number
        logicalTypeOptions: {minimum: 0.1, exclusiveMaximum: 50}
      - name: van_id
        physicalType: BIGINT
        relationships: [{to: ../vans/contract.odcs.yaml#/schema/vans/properties/van_id}]
"""

QUALITY = """\
    quality:
      - {name: light, type: custom, engine: sparkSql, implementation: "weight < 40 -- kg", severity: warning}
      - {name: enough, metric: rowCount, mustBeGreaterThan: 1}
      - name: load
        type: sql
        query: SELECT SUM(p.weight) FROM ${table} AS p JOIN silver.vans AS v ON p.van_id = v.van_id
        mustBeBetween: [1, 100]
"""

GOOD = [(1, 1, "small", "a@b.example", "1.00", 7), (1, 2, "large", None, "39.00", None), (2, 1, None, "c@d", "2.50", 8)]

#: Rule -> a row that breaks it and nothing else.
BAD = {
    "parcel_id_not_null": (None, 1, "small", "a@b", "1.00", 7),
    "leg_not_null": (3, None, "small", "a@b", "1.00", 7),
    "size_known": (3, 1, "huge", "a@b", "1.00", 7),
    "mail_wellformed": (3, 1, "small", "secretive", "1.00", 7),
    "mail_length": (3, 1, "small", "a@" + "secret" * 4, "1.00", 7),
    "weight_in_range": (3, 1, "small", "a@b", "0.05", 7),
    "van_id_references": (3, 1, "small", "a@b", "1.00", 9),
    "light": (3, 1, "small", "a@b", "45.00", 7),
    "parcel_id_leg_unique": (2, 1, "small", "a@b", "1.00", 7),
}


@pytest.fixture
def make(tmp_path):
    """A contract with `quality` as its table rules."""

    def made(quality=QUALITY, columns=COLUMNS):
        folder = tmp_path / "silver" / "parcels"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "transform.sql").write_text("SELECT 1 AS one\n")
        (folder / "contract.odcs.yaml").write_text(HEAD + columns + quality)
        return load_contract(folder)

    return made


@pytest.fixture
def gate(spark):
    """Check a contract over rows."""
    types = "parcel_id BIGINT, leg INT, size STRING, mail STRING, weight STRING, van_id BIGINT"

    def run(contract, rows, drop=(), known=NOTHING_KNOWN):
        frame = spark.createDataFrame(rows, types).withColumn("weight", _decimal("weight")).drop(*drop)
        vans = spark.createDataFrame([(7,), (8,), (8,)], "van_id BIGINT")
        return check(contract, frame, {"silver.vans": vans}.__getitem__, batch_id="b-1", run_id="r-1", known=known)

    def _decimal(name):
        from pyspark.sql import functions as F

        return F.col(name).cast("DECIMAL(9,2)")

    return run


def failures(result):
    return {r.rule: r for r in result.failures}


def test_good_rows_pass_every_rule(make, gate):
    result = gate(make(), GOOD)
    assert result.passed
    assert not result.failures
    assert {r.rule for r in result.results} == {*BAD, "schema", "enough", "load"}
    assert {r.rule: r.observed for r in result.results if r.observed} == {"enough": "3 rows", "load": "6"}


@pytest.mark.parametrize("rule", BAD)
def test_a_bad_row_fails_its_rule_alone(make, gate, rule):
    result = gate(make(), [*GOOD, BAD[rule]])
    found = failures(result)
    assert set(found) == {rule}
    # Both rows that share a key are bad.
    rows = 2 if rule.endswith("unique") else 1
    assert (found[rule].failed_rows, found[rule].observed) == (rows, f"{rows} failing row{'s' * (rows > 1)}")
    assert found[rule].severity == ("warning" if rule == "light" else "critical")
    assert result.passed is (rule == "light")


def test_all_at_once(make, gate):
    result = gate(make(), [*GOOD, *BAD.values()])
    assert set(failures(result)) == set(BAD)
    assert not result.passed
    told = str(GateFailed(result, "/lake/silver/parcels"))
    assert "size_known (critical: 1 failing row)" in told


def test_no_value_of_a_row_leaves(make, gate):
    result = gate(make(), [*GOOD, *BAD.values()])
    told = json.dumps(result.to_json()) + str(GateFailed(result, "x"))
    assert "secret" not in told
    assert "huge" not in told


def test_an_empty_table_fails_only_what_speaks_of_the_table(make, gate):
    found = failures(gate(make(), []))
    assert {name: (r.failed_rows, r.observed) for name, r in found.items()} == {
        "enough": (None, "0 rows"),
        "load": (None, "no number (NULL)"),
    }


def test_a_query_out_of_bounds(make, gate):
    found = failures(gate(make(), [*GOOD, *[(9, n, "small", "a@b", "39.00", 7) for n in range(3)]]))
    assert {name: r.observed for name, r in found.items()} == {"load": "123"}


def test_a_predicate_that_yields_null_does_not_hold(make, gate):
    contract = make('    quality: [{name: heavy, type: custom, engine: sparkSql, implementation: "weight > 0"}]\n')
    found = failures(gate(contract, [*GOOD, (5, 1, "small", "a@b", None, 7)]))
    assert {name: r.failed_rows for name, r in found.items()} == {"heavy": 1}


def test_a_single_key_and_nulls_in_a_unique_column(make, gate):
    rule = "{name: van_once, metric: duplicateValues, arguments: {properties: [van_id]}, mustBe: 0}"
    contract = make(f"    quality: [{rule}]\n")
    assert gate(contract, [*GOOD, (5, 1, "small", "a@b", "1.00", None)]).passed
    assert failures(gate(contract, [*GOOD, (5, 1, "small", "a@b", "1.00", 8)]))["van_once"].failed_rows == 2


def test_a_missing_column_fails_the_schema_and_ends_there(make, gate):
    result = gate(make(), GOOD, drop=["mail", "leg"])
    assert not result.passed
    assert [(r.rule, r.severity, r.observed) for r in result.results] == [
        ("schema", "critical", "missing columns: leg, mail")
    ]


def test_further_columns_are_welcome(make, gate):
    trimmed = COLUMNS[: COLUMNS.index("      - name: van_id")]
    assert gate(make(quality="", columns=trimmed), GOOD).passed


def test_a_rule_that_spark_refuses_is_an_error_with_file_and_line(make, gate):
    contract = make(
        "    quality:\n"
        "      - {name: fine, type: custom, engine: sparkSql, implementation: weight < 40}\n"
        "      - {name: odd, type: custom, engine: sparkSql, implementation: no_such_function(weight)}\n"
    )
    with pytest.raises(RuleError) as raised:
        gate(contract, GOOD)
    line = next(rule.line for rule in contract.rules if rule.name == "odd")
    told = str(raised.value)
    assert "silver.parcels: rule odd could not be checked" in told
    assert f"{contract.path}:{line}" in told
    assert "no_such_function" in told


def test_an_error_that_quotes_a_value_is_told_without_it(make, gate, caplog, capfd):
    rule = "{name: odd, type: custom, engine: sparkSql, implementation: CAST(mail AS INT) > 0}"
    contract = make(f"    quality: [{rule}]\n")
    # pyspark and Great Expectations both log Spark's message, the first on a handler of its own.
    with caplog.at_level(logging.INFO), pytest.raises(RuleError) as raised:
        gate(contract, GOOD)
    assert "CAST_INVALID_INPUT" in str(raised.value)
    assert "b.example" not in str(raised.value) + caplog.text + "".join(capfd.readouterr())
    assert raised.value.__suppress_context__


def test_bad_rows_are_counted_and_queries_are_few(make, gate, monkeypatch):
    from pyspark.sql.connect.client import SparkConnectClient

    execute, plans = SparkConnectClient._execute_and_fetch_as_iterator, []

    def counted(self, request, *arguments, **named):
        plans.append(request.plan.WhichOneof("op_type") + ":" + (request.plan.root.WhichOneof("rel_type") or ""))
        return execute(self, request, *arguments, **named)

    monkeypatch.setattr(SparkConnectClient, "_execute_and_fetch_as_iterator", counted)
    assert gate(make(), GOOD).passed
    assert plans.count("root:aggregate") == 1
    assert gate(make(), [*GOOD, *BAD.values()]).results
    assert plans.count("root:aggregate") == 1 + 1


def test_nothing_stays_behind(make, gate, spark):
    gate(make(), GOOD)
    assert not [t.name for t in spark.catalog.listTables() if t.name.startswith("gate_")]


def test_great_expectations_is_mute_and_the_process_logs_as_before(caplog):
    root, shown = logging.getLogger().level, warnings.showwarning
    with caplog.at_level(logging.DEBUG), quiet():
        logging.getLogger("great_expectations.anything").error("chatter")
    assert not [r for r in caplog.records if r.name.startswith("great_expectations")]
    assert logging.getLogger("great_expectations").level == logging.NOTSET
    assert (logging.getLogger().level, warnings.showwarning) == (root, shown)


def test_results_are_kept(make, gate, tmp_path, monkeypatch):
    from lakehouse import paths
    from lakehouse.delta import read_rows

    monkeypatch.setattr(paths, "lake", lambda: str(tmp_path / "lake"))
    result = replace(gate(make(), [*GOOD, BAD["size_known"]]), candidate="c0ffee")
    at = datetime(2026, 3, 1, 6, tzinfo=UTC)
    record(result, checked_ts=at)
    record(result, checked_ts=at)
    rows = read_rows(paths.ops("quality"), {"table": "silver.parcels"})
    assert len(rows) == 2 * len(result.results)
    kept = next(row for row in rows if row["rule"] == "size_known")
    assert kept == {
        "checked_ts": at,
        "table": "silver.parcels",
        "batch_id": "b-1",
        "run_id": "r-1",
        "rule": "size_known",
        "kind": "one_of",
        "severity": "critical",
        "success": False,
        "failed_rows": 1,
        "observed": "1 failing row",
        "description": "",
        "value": 1.0,
        "sample": '["{\\"parcel_id\\":3,\\"leg\\":1}"]',
        "candidate": "c0ffee",
        "override": "",
    }


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT no_such FROM ${table}", "no_such"),
        ("SELECT weight FROM ${table}", "SCALAR_SUBQUERY_TOO_MANY_ROWS"),
        ("SELECT MAX(mail) FROM ${table}", "CAST_INVALID_INPUT"),
    ],
)
def test_a_query_without_a_number_is_an_error(make, gate, query, told):
    contract = make(f'    quality: [{{name: odd, type: sql, query: "{query}", mustBe: 0}}]\n')
    with pytest.raises(RuleError, match=rf"(?s)rule odd could not be checked.*{told}") as raised:
        gate(contract, GOOD)
    assert "c@d" not in str(raised.value)


def test_the_suite_says_severity_rule_and_kind(make):
    with quiet():
        suite = build_suite(make(), lambda table: "v")
    said = {e.meta["rule"]: (e.severity, e.meta["kind"], type(e).__name__) for e in suite.expectations}
    assert said["schema"] == ("critical", "schema", "ExpectTableColumnsToMatchSet")
    assert said["light"] == ("warning", "row", "ExpectMeasure")
    assert said["leg_not_null"] == ("critical", "not_null", "ExpectMeasure")
    assert len(said) == len(suite.expectations) == 1 + len(make().rules)


@pytest.mark.parametrize("rule", BAD)
def test_nothing_but_the_rule_notices_its_row(make, gate, rule):
    """Taking a rule out of a contract lets its rows pass: no test above passes for another rule's sake."""
    contract = make()
    without = replace(contract, rules=tuple(r for r in contract.rules if r.name != rule))
    assert len(without.rules) == len(contract.rules) - 1
    assert not gate(without, [*GOOD, BAD[rule]]).failures


def test_what_quarantine_would_set_aside_fails_the_gate_where_it_did_not(make, gate):
    """DQ-6: bronze's row rules have the disposition quarantine; the gate judges them all the same."""
    contract = make()
    rules = tuple(replace(r, disposition="quarantine") if r.predicate else r for r in contract.rules)
    result = gate(replace(contract, layer="bronze", rules=rules), [*GOOD, *BAD.values()])
    assert set(failures(result)) == set(BAD)
    assert not result.passed


def many(bad, of, row=(1, "small", "a@b", "1.00", 7)):
    """`of` good rows, the last `bad` of them with `worse` in place of what makes them good."""
    return lambda **worse: [
        (n, *[worse.get(name, value) if n >= of - bad else value for name, value in zip(NAMES[1:], row, strict=True)])
        for n in range(of)
    ]


NAMES = ("parcel_id", "leg", "size", "mail", "weight", "van_id")
LIGHT = (
    "    quality:\n"
    "      - {name: light, type: custom, engine: sparkSql, implementation: weight < 40,\n"
    "         customProperties: [{property: tolerance, value: {%s}}]}\n"
)


@pytest.mark.parametrize(
    ("tolerance", "bad", "passes"),
    [("percent: 0.5", 1, True), ("percent: 0.5", 2, False), ("rows: 2", 2, True), ("rows: 2", 3, False)],
)
def test_a_custom_rule_bears_a_share_or_a_number(make, gate, tolerance, bad, passes):
    result = gate(make(LIGHT % tolerance), many(bad, 200)(weight="45.00"))
    (light,) = (r for r in result.results if r.rule == "light")
    assert (light.success, result.passed, light.failed_rows, light.value) == (passes, passes, bad, bad)
    told = f"{bad} failing row{'s' * (bad > 1)}"
    assert light.observed == (f"{told}, {bad / 2:.3g}% of 200" if "percent" in tolerance else told)


TOLERANT = {
    # rule: what makes a row bad, how many of 200 are borne, and how the contract says so
    "no_mail": ({"mail": None}, 3, "{name: no_mail, metric: nullValues, mustBeLessThan: 2, unit: percent}"),
    "no_dot": (
        {"mail": "a@"},
        3,
        "{name: no_dot, metric: invalidValues, arguments: {pattern: '^a@b$'}, mustBeLessOrEqualTo: 3}",
    ),
    "odd_mail": (
        {"mail": "a@"},
        3,
        "{name: odd_mail, metric: invalidValues, arguments: {validValues: [a@b]}, mustBeLessThan: 2, unit: percent}",
    ),
}


@pytest.mark.parametrize("rule", TOLERANT)
def test_a_metric_bears_what_its_operator_says(make, gate, rule):
    worse, borne, entry = TOLERANT[rule]
    columns = (
        "      - {name: parcel_id, physicalType: BIGINT, primaryKey: true, required: true}\n"
        f"      - {{name: mail, physicalType: STRING, quality: [{entry}]}}\n"
    )
    contract = make("", columns)
    passed = {r.rule: r for r in gate(contract, many(borne, 200)(**worse)).results}
    assert (passed[rule].success, passed[rule].failed_rows) == (True, borne)
    assert failures(gate(contract, many(borne + 1, 200)(**worse)))[rule].failed_rows == borne + 1


def test_twice_and_nowhere_are_borne_too(make, gate):
    tolerance = "customProperties: [{property: tolerance, value: {percent: 1}}]"
    columns = COLUMNS.replace("properties/van_id}", f"properties/van_id, {tolerance}}}").replace(
        "required: true}\n      - name: size", "required: true}\n      - name: size"
    )
    twice = "{name: mail_twice, metric: duplicateValues, arguments: {properties: [mail]}, mustBeLessThan: 3}"
    contract = make(f"    quality: [{twice}]\n", columns)
    mails = [(n, 1, "small", f"{n}@b", "1.00", 7) for n in range(200)]
    borne = [*mails[:-2], (198, 1, "small", "7@b", "1.00", 9), (199, 1, "small", "199@b", "1.00", 9)]
    found = {r.rule: r for r in gate(contract, borne).results}
    assert gate(contract, borne).passed
    assert (found["mail_twice"].observed, found["van_id_references"].observed) == (
        "2 failing rows",
        "2 failing rows, 1% of 200",
    )
    more = [(n, 1, "small", "7@b" if n < 9 else f"{n}@b", "1.00", 9 if n < 3 else 7) for n in range(200)]
    assert set(failures(gate(contract, more))) == {"mail_twice", "van_id_references"}


FRESH = """\
    quality:
      - name: fresh
        type: sql
        query: "SELECT (unix_seconds(${run_end}) - MAX(parcel_id)) / 3600.0 FROM ${table}"
        mustBeLessOrEqualTo: 26
"""


def test_freshness_goes_by_the_end_of_the_run(make, gate):
    end = datetime(2026, 3, 2, tzinfo=UTC)
    known = Known(run_end=end)

    def rows(hours):
        return [(int(end.timestamp()) - hours * 3600, 1, "small", "a@b", "1.00", 7)]

    assert gate(make(FRESH), rows(26), known=known).passed
    late = failures(gate(make(FRESH), rows(27), known=known))
    assert (late["fresh"].observed, late["fresh"].value) == ("27", 27.0)


VOLUME = """\
    quality:
      - name: volume
        metric: rowCount
        mustBeBetween: [50, 200]
        customProperties: [{property: comparedWithRuns, value: 7}]
"""


@pytest.mark.parametrize(("usual", "passes"), [(3, True), (6, True), (6.1, False), (1.5, True), (1.4, False)])
def test_a_volume_is_judged_by_what_is_usual(make, gate, usual, passes):
    result = gate(make(VOLUME), GOOD, known=Known(usual={"volume": usual}))
    assert result.passed is passes
    (volume,) = (r for r in result.results if r.rule == "volume")
    assert volume.observed == f"3 rows, {300 / usual:.3g}% of the usual {usual:g}"
    assert volume.value == 3.0


def test_a_volume_without_a_past_is_taken_and_not_judged(make, gate):
    result = gate(make(VOLUME), GOOD, known=Known(unjudged={"volume": "0 of 3 earlier runs to compare with"}))
    (volume,) = (r for r in result.results if r.rule == "volume")
    assert (volume.success, volume.value) == (True, 3.0)
    assert volume.observed == "3 rows (not judged: 0 of 3 earlier runs to compare with)"


def test_a_failed_rule_shows_keys_of_a_few_rows(make, gate):
    found = failures(gate(make(), [*GOOD, *BAD.values(), *[(9, n, "huge", "a@b", "1.00", 7) for n in range(9)]]))
    assert found["leg_not_null"].sample == ('{"parcel_id":3,"leg":null}',)
    assert found["parcel_id_leg_unique"].sample[0] == '{"parcel_id":2,"leg":1}'
    assert found["van_id_references"].sample == ('{"parcel_id":3,"leg":1}',)
    assert len(found["size_known"].sample) == 5


def test_a_key_that_is_personal_data_is_shown_nowhere(make, gate):
    for marked in ("classification: pii", "customProperties: [{property: protect, value: tokenise}]"):
        hidden = COLUMNS.replace("leg, physicalType: INT", f"leg, physicalType: INT, {marked}")
        found = failures(gate(make(columns=hidden), [*GOOD, *BAD.values()]))
        assert found["size_known"].sample == ('{"parcel_id":3}',)
        assert found["parcel_id_leg_unique"].sample[0] == '{"parcel_id":2}'


EDGES = [-(2**63), -65, -64, -63, -1, 0, 1, 62, 63, 64, 128, 2**63 - 1, None]


@pytest.mark.parametrize("twice", [(), (0,), (-1, -1), (63, None), (-64, 2**63 - 1)])
def test_bits_find_a_dense_key_that_repeats(make, gate, twice):
    """The same verdict and the same count as the long way, at the edges of the words of bits."""
    rule = "{name: van_once, metric: duplicateValues, arguments: {properties: [van_id]}, mustBe: 0}"
    columns = "      - {name: parcel_id, physicalType: BIGINT, primaryKey: true}\n"
    columns += "      - {name: van_id, physicalType: BIGINT}\n"
    contract = make(f"    quality: [{rule}]\n", columns)
    rows = [(n, 1, "small", "a@b", "1.00", van) for n, van in enumerate([*EDGES, *twice])]
    bits = gate(contract, rows, known=Known(dense=frozenset({"van_once"})))
    assert bits.results == gate(contract, rows).results
    repeated = {van for van in twice if van is not None}
    assert bits.passed is not bool(repeated)
    if repeated:
        rows_of = sum(van in repeated for van in [*EDGES, *twice])
        assert failures(bits)["van_once"].failed_rows == rows_of


@pytest.mark.parametrize("broken", [(), ("parcel_id_not_null",), ("leg_not_null", "weight_in_range"), ("size_known",)])
def test_statistics_of_files_tell_what_rows_would(make, spark, tmp_path, broken):
    """The same verdict, counts and samples as by reading every row."""
    contract, path = make(), str(tmp_path / "table")
    types = "parcel_id BIGINT, leg INT, size STRING, mail STRING, weight STRING, van_id BIGINT"
    for rows in (GOOD, [BAD[rule] for rule in broken]):
        frame = spark.createDataFrame(rows, types).selectExpr(
            "* EXCEPT (weight)", "CAST(weight AS DECIMAL(9, 2)) weight"
        )
        frame.write.format("delta").mode("append").save(path)
    known = with_statistics(NOTHING_KNOWN, contract, statistics(path))
    bounded = set() if "weight_in_range" in broken else {"weight_in_range"}
    assert set(known.counted) == {"parcel_id_not_null", "leg_not_null"} | bounded
    vans = spark.createDataFrame([(7,), (8,)], "van_id BIGINT")
    told, read = (
        check(
            contract, spark.read.format("delta").load(path), {"silver.vans": vans}.__getitem__, "b-1", "r-1", known=by
        )
        for by in (known, NOTHING_KNOWN)
    )
    assert told.results == read.results
    assert set(failures(told)) == set(broken)
