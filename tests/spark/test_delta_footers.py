"""What footers tell of files that Spark wrote: what Delta's own writer would have told, and Spark finds rows by it."""

from __future__ import annotations

import json

import pytest

from lakehouse.delta import UNTOLD, ColumnSpec, TableSpec, diff, latest_version, open_branch, tell
from lakehouse.delta.replay import active_files
from lakehouse.spark.settings import setting

KINDS = {
    "n": "BIGINT",
    "tiny": "TINYINT",
    "day": "DATE",
    "at": "TIMESTAMP",
    "price": "DECIMAL(9,2)",
    "wide": "DECIMAL(38,10)",
    "real": "DOUBLE",
    "name": "STRING",
    "other": "STRING",
}
SPEC = TableSpec(
    tuple(ColumnSpec(name, kind) for name, kind in KINDS.items()),
    properties={"delta.dataSkippingStatsColumns": ",".join(f"`{name}`" for name in KINDS if name != "other")},
)
ROWS = """
    ('1', '1', '2020-02-29', '2020-01-01 12:00:00.123999', '0.10', '-1234567890123456789012345678.0123456789', '0.5',
        'a', 'x'),
    ('-9223372036854775808', '-128', '0001-01-01', '1969-12-31 23:59:59.999999', '-99.99', '1e-10', 'NaN', 'é😀', NULL),
    (NULL, NULL, '9999-12-31', NULL, NULL, NULL, NULL, repeat('😀', 40), 'y'),
    ('7', '7', NULL, '9999-12-31 23:59:59.999999', '7', '7', '-Infinity', '', 'z')
"""


@pytest.fixture
def branches(tmp_path, spark):
    """The same rows twice: as Delta's writer tells of them, and as their footers do."""
    columns = ", ".join(f"CAST(col{n} AS {kind}) AS {name}" for n, (name, kind) in enumerate(KINDS.items(), 1))
    rows = spark.sql(f"SELECT {columns} FROM VALUES {ROWS}").coalesce(1)
    table = str(tmp_path / "my lake" / "t")
    own, ours = (open_branch(table, f"{table}/_branch/{name}/1", SPEC, "append") for name in ("own", "ours"))
    rows.write.format("delta").mode("append").save(own.path)
    with setting(spark, UNTOLD):
        rows.write.format("delta").mode("append").save(ours.path)
    assert [file.get("stats") for file in active_files(ours.path, latest_version(ours.path))] == [None]
    tell(ours)
    return own, ours


def told(branch):
    (file,) = active_files(branch.path, latest_version(branch.path))
    return json.loads(file["stats"], parse_float=str)


def test_footers_tell_what_delta_would(branches):
    """Bounds of floating point numbers and the greatest character after a long text are where they differ."""
    own, ours = map(told, branches)
    for kind in ("minValues", "maxValues"):
        assert "real" not in ours[kind]
        own[kind].pop("real", None)
    assert own["maxValues"].pop("name").startswith("😀" * 16)
    assert ours["maxValues"].pop("name") == "😀" * 32 + "\U0010ffff"
    for stats in (own, ours):
        stats.pop("tightBounds", None)
    assert ours == own


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("n = -9223372036854775808", 1),
        ("n > 7", 0),
        ("real = double('NaN')", 1),
        ("real > 1e300", 1),
        ("at = TIMESTAMP'9999-12-31 23:59:59.999999'", 1),
        ("at < TIMESTAMP'1970-01-01'", 1),
        ("day = DATE'9999-12-31'", 1),
        ("name = repeat('😀', 40)", 1),
        ("name > repeat('😀', 39)", 1),
        ("name = ''", 1),
        ("wide < -1e27", 1),
        ("price IS NULL", 1),
        ("other IS NULL", 1),
    ],
)
def test_rows_are_found_by_them(branches, spark, condition, rows):
    for branch in branches:
        assert spark.read.format("delta").load(branch.path).where(condition).count() == rows


def test_a_file_without_rows_is_none_of_the_branch(spark, tmp_path):
    table = str(tmp_path / "t")
    branch = open_branch(table, f"{table}/_branch/b/1", SPEC, "append")
    rows = spark.sql("SELECT " + ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in KINDS.items()))
    with setting(spark, UNTOLD):
        rows.where("rand() > 2").write.format("delta").mode("append").save(branch.path)
    assert len(active_files(branch.path, latest_version(branch.path))) == 1
    assert tell(branch) == 0
    assert not active_files(branch.path, latest_version(branch.path))
    assert diff(branch).is_empty or not diff(branch).files_added
    assert spark.read.format("delta").load(branch.path).count() == 0


def test_the_session_writes_statistics_again(spark, tmp_path):
    with setting(spark, UNTOLD):
        pass
    path = str(tmp_path / "after")
    spark.range(3).coalesce(1).write.format("delta").save(path)
    assert json.loads(active_files(path, 0)[0]["stats"])["maxValues"] == {"id": 2}
