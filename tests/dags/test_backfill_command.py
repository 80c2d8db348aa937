"""`airflow dags backfill`: it is there, says what Airflow 2 said, and refuses by name what is no more.

Airflow's parser and database are real; the scheduler is played. All commands are typed in one process: it takes
seconds to start.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("backfill_driver.py")
RANGE = ["some", "-s", "2025-10-01", "-e", "2025-10-03"]
DAYS = ["2025-10-01", "2025-10-02", "2025-10-03"]
#: Every flag of `airflow dags backfill` in Airflow 2.
OLD = [
    *("-c", "--conf", "--continue-on-failures", "--delay-on-limit", "--disable-retry", "-x", "--donot-pickle", "-n"),
    *("--dry-run", "-e", "--end-date", "-i", "--ignore-dependencies", "-I", "--ignore-first-depends-on-past", "-l"),
    *("--local", "-m", "--mark-success", "--pool", "--rerun-failed-tasks", "--reset-dagruns", "-B", "--run-backwards"),
    *("-s", "--start-date", "-S", "--subdir", "-t", "--task-regex", "--treat-dag-id-as-regex", "--treat-dag-as-regex"),
    *("-v", "--verbose", "-y", "--yes"),
]
#: Name: what the scheduler does, and the words of the command; typed one after the other.
TYPED: dict[str, tuple[dict[str, str] | None, list[str]]] = {
    "plan": ({}, [*RANGE, "--dry-run"]),
    "one fails": ({"2025-10-02": "failed"}, [*RANGE, "-c", '{"why": "a test"}']),
    "that one again": ({}, [*RANGE, "--rerun-failed-tasks", "--verbose"]),
    "nothing to do": ({}, RANGE),
    "unasked": ({}, [*RANGE, "--reset-dagruns"]),
    "all again": ({}, [*RANGE, "--reset-dagruns", "--yes", "-B"]),
    "no scheduler": (None, ["some", "-s", "2025-10-09"]),
    "no dag": ({}, ["nonsense", *RANGE[1:]]),
    "paused": ({}, ["paused", *RANGE[1:]]),
    "no days": ({}, ["some"]),
    "backwards": ({}, ["some", "-s", "2025-10-03", "-e", "2025-10-01"]),
    "future": ({}, ["some", "-s", "2199-01-01"]),
    "conf": ({}, [*RANGE, "--conf", "[1]"]),
    "local": ({}, [*RANGE, "--local"]),
    "regex": ({}, [*RANGE, "-t", "bronze"]),
    "ctrl-c": ({"2025-10-07": "interrupt"}, ["some", "-s", "2025-10-07"]),
    "another": ({}, ["some", "-s", "2025-10-08"]),
}


class Answer(NamedTuple):
    """What a command said."""

    code: int
    output: str
    errors: str

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(day, state or what) of each row of its table."""
        lines = [line for line in self.output.splitlines() if line.startswith("│")]
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
        return [(row[0][:10], row[2] if len(row) == 5 else row[1]) for row in rows]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, airflow_environment: dict[str, str]) -> dict[str, Answer]:
    """Answers of an Airflow of its own in which this project is installed, as its entry point says."""
    home = tmp_path_factory.mktemp("backfill")
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = home / "installed" / f"{told['name']}-{told['version']}.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n")
    points = told["entry-points"]["apache_airflow_provider"]
    lines = [f"{name} = {value}\n" for name, value in points.items()]
    (installed / "entry_points.txt").write_text("[apache_airflow_provider]\n" + "".join(lines))
    path = [str(installed.parent), str(ROOT / "include"), str(ROOT / "plugins")]
    ran = subprocess.run(
        [sys.executable, str(DRIVER)],
        env={**airflow_environment, "AIRFLOW_HOME": str(home), "PYTHONPATH": os.pathsep.join(path)},
        input=json.dumps(list(TYPED.values())),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return {name: Answer(*answer) for name, answer in zip(TYPED, json.loads(ran.stdout), strict=True)}


def test_every_flag_of_airflow_2_works_or_is_refused_by_name() -> None:
    from lakehouse_airflow.provider.definition import ARGS, REFUSED

    known = {flag for arg in ARGS for flag in arg.flags}
    assert set(OLD) <= known
    assert {flag for flags in REFUSED for flag in flags} <= set(OLD)


def test_days_are_run_shown_and_run_again(said: dict[str, Answer]) -> None:
    """The end included, exit codes, a failed day, and days that are there."""
    assert said["plan"] == Answer(0, said["plan"].output, "")
    assert said["plan"].rows == [(day, "runs") for day in DAYS]

    first = said["one fails"]
    assert first.rows == [(DAYS[0], "success"), (DAYS[1], "failed"), (DAYS[2], "success")], first.errors
    assert first.code == 1
    assert "nothing" in first.output, "the failed task is named"
    assert "1 of 3 runs did not succeed" in first.errors
    assert "--rerun-failed-tasks" in first.errors

    again = said["that one again"]
    assert (again.code, again.rows) == (0, [(day, "success") for day in DAYS]), again.errors
    assert again.output.count("was there, left alone") == 2
    assert "1 of 1 runs ended, 0 failed" in again.errors

    left = said["nothing to do"]
    assert (left.code, left.output.count("was there, left alone")) == (0, 3), left.errors
    reset = said["all again"]
    assert (reset.code, "left alone" in reset.output, len(reset.rows)) == (0, False, 3), reset.errors


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("unasked", 1, "say --yes"),
        ("no scheduler", 1, "No scheduler is running. No run was made."),
        ("no dag", 1, "There is no DAG 'nonsense'."),
        ("paused", 1, "paused is paused"),
        ("no days", 2, "which days are meant"),
        ("backwards", 1, "must not be after"),
        ("future", 1, "future"),
        ("conf", 1, "--conf is no JSON object"),
        ("local", 2, "--local is not there any more.\n  -> The scheduler"),
        ("regex", 2, "-t is not there any more.\n  -> Clear tasks"),
        ("another", 1, "Another backfill is running for Dag some"),
    ],
)
def test_what_cannot_be_is_told_with_a_remedy(said: dict[str, Answer], name: str, code: int, told: str) -> None:
    answer = said[name]
    assert (answer.code, told in answer.errors) == (code, True), answer.errors
    assert "\n  -> " in answer.errors
    assert "Traceback" not in answer.errors


def test_ctrl_c_says_what_goes_on(said: dict[str, Answer]) -> None:
    assert said["ctrl-c"].code == 130
    assert re.search(r"The scheduler goes on with backfill \d+ of some", said["ctrl-c"].errors)
    assert "cancel" in said["ctrl-c"].errors
