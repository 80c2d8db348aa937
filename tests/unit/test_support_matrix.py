"""The support matrix says what was shown where: files and tests it names are there, versions are the locked ones."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "deploy.md"
COLUMNS = ["part", "versions", "shown", "by"]
SHOWN = {"here", "stand-in", "lint", "no"}


def matrix(text: str) -> list[dict[str, str]]:
    """Rows of the table under the heading."""
    lines = text.partition("## Support matrix")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in cells[2:]]


def problems(rows: list[dict[str, str]]) -> list[str]:
    """Rows that promise what nothing shows."""
    found = []
    for row in rows:
        named = re.findall(r"`([^`]+)`", row["by"])
        if row["shown"] not in SHOWN:
            found.append(f"{row['part']}: '{row['shown']}' is no word of the matrix")
        if bool(named) == (row["shown"] == "no"):
            found.append(f"{row['part']}: {row['shown']}, by {named}")
        for test in named:
            file, _, name = test.partition("::")
            path = ROOT / file
            if not (file.startswith("tests/") and path.is_file()):
                found.append(f"{row['part']}: there is no {file}")
            elif not {name} <= (there := functions(path)) | {""} or not there:
                found.append(f"{row['part']}: {file} has no {name}")
    return found


def functions(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


ROWS = matrix(PAGE.read_text())


def test_every_row_names_what_shows_it():
    assert problems(ROWS) == []


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"shown": "here", "by": "`tests/unit/test_nothing.py`"}, "there is no tests/unit/test_nothing.py"),
        ({"shown": "here", "by": "`tests/unit/test_infra.py::test_nothing`"}, "has no test_nothing"),
        ({"shown": "here", "by": ""}, "here, by []"),
        ({"shown": "no", "by": "`tests/unit/test_infra.py`"}, "no, by"),
        ({"shown": "yes", "by": "`tests/unit/test_infra.py`"}, "'yes' is no word"),
        ({"shown": "here", "by": "`tests/shop.py`"}, "has no"),
    ],
)
def test_a_promise_that_nothing_shows_is_seen(row: dict[str, str], told: str):
    (problem,) = problems([{"part": "x", "versions": "", **row}])
    assert told in problem


def test_all_that_a_reader_asks_about_is_there():
    text = " ".join(row["part"].lower() for row in ROWS)
    for word in ("spark", "delta", "emr", "airflow", "mwaa", "python", "s3", "catalog", "kafka", "secrets", "ssm"):
        assert word in text, word


def test_versions_are_the_locked_ones():
    locked = dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.]+)$", (ROOT / "requirements.txt").read_text(), re.M))
    told = {row["part"]: row["versions"] for row in ROWS}
    for part, package in (
        ("Spark on a Connect server", "pyspark"),
        ("Spark on a standalone cluster, by spark-submit", "pyspark"),
        ("Delta", "delta-spark"),
        ("Delta read by other engines: delta-rs, Spark", "deltalake"),
        ("Airflow", "apache-airflow"),
    ):
        assert locked[package] in told[part], part
