"""The pages that tell people what exists and what to type: whatever they name is there."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from lakehouse.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "requirements.md"
#: What the command line raises for arguments it does not take.
USAGE_ERROR = typer.BadParameter.__base__
COLUMNS = ["requirement", "state", "code", "test", "command"]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *(ROOT / "runbooks").rglob("*.md"), *ROOT.glob("*.md")])
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def rows() -> list[dict[str, str]]:
    """Every row of every table of the page."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells != COLUMNS and not set(line) <= set("|-"):
            assert len(cells) == len(COLUMNS), line
            found.append(dict(zip(COLUMNS, cells, strict=True)))
    return found


ROWS = rows()
every_row = pytest.mark.parametrize("row", ROWS, ids=[row["requirement"][:40] for row in ROWS])


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@cache
def functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def test_the_mission_is_covered():
    text = PAGE.read_text().lower()
    for word in (
        "data contracts", "watermark", "ssm", "state store", "run metadata", "error lanes", "openlineage", "metrics",
        "silver joins", "scd2", "star schema", "great expectations", "critical", "warning", "glue", "lake formation",
        "slas", "backfill", "cloudwatch", "json logs", "trace", "runbook", "optimize", "zorder", "vacuum",
        "partitioning", "skew", "snowflake", "redshift", "salesforce", "vendor files", "kafka", "fx",
        "nobody reads unaudited", "published twice", "one folder", "books",
    ):  # fmt: skip
        assert word in text, word


@every_row
def test_a_state_says_what_is_there(row: dict[str, str]):
    code, tests = quoted(row["code"]), quoted(row["test"])
    assert row["state"] in ("done", "untested", "later")
    assert bool(code) == (row["state"] != "later")
    assert bool(tests) == (row["state"] == "done")


@every_row
def test_code_and_tests_exist(row: dict[str, str]):
    for path in quoted(row["code"]):
        assert (ROOT / path).is_file(), path
    for test in quoted(row["test"]):
        check_test(test)


def check_test(test: str) -> None:
    file, _, name = test.partition("::")
    assert name.startswith("test_"), test
    assert (ROOT / file).is_file(), test
    assert name in functions(ROOT / file), test


def test_every_known_failure_has_a_test_named_after_it():
    lines = (ROOT / "docs" / "known-failures.md").read_text().splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    assert len(table) == 11
    for failure, _, tests in table:
        assert quoted(tests)[0].rpartition("::")[2].removeprefix("test_") == failure.replace(" ", "_")
        for test in quoted(tests):
            check_test(test)


def typed(page: Path) -> list[str]:
    """Commands of ours on a page: in backticks, or lines of a shell block."""
    text = page.read_text()
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    found = lines + [span.replace("\n", " ") for span in re.findall(r"(?<!`)`([^`]+)`", prose)]
    found = [re.sub(r"^(?:docker compose exec scheduler )?(?:\.venv/bin/)?", "", command) for command in found]
    return [command for command in found if re.match(r"(?:lakehouse|make) [\w+]", command)]


@cache
def command_line() -> Any:
    return typer.main.get_command(app)


@cache
def problem(command: str) -> str:
    """Why `command` cannot be typed; "" when it can."""
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.M))
        named = [word for word in arguments if "=" not in word]
        return "" if set(named) <= targets else "no such target"
    known = command_line()
    context = typer.Context(known, info_name=program)
    while hasattr(known, "get_command"):
        if not arguments:
            return ""  # A group is spoken of.
        if arguments[0].startswith("-") and known.invoke_without_command:
            break  # A group that does something by itself.
        found = known.get_command(context, arguments.pop(0))
        if found is None:
            return "no such command"
        known = found
    required = [p for p in known.params if p.required]
    if not arguments and required:
        return ""  # The command is spoken of, not typed.
    try:
        known.make_context(known.name, arguments)
    except USAGE_ERROR as error:
        return str(error) or type(error).__name__
    return ""


@every_page
def test_every_command_is_one(page: Path):
    assert {command: problem(command) for command in typed(page) if problem(command)} == {}


def test_commands_are_found_and_wrong_ones_seen():
    assert len(typed(PAGE)) > 10
    assert len(typed(ROOT / "runbooks" / "dq_failover.md")) > 5
    assert problem("lakehouse nonsense") == "no such command"
    assert problem("lakehouse status --nonsense") != ""
    assert problem("make nonsense") == "no such target"


@every_page
def test_every_path_of_the_project_exists(page: Path):
    spans = re.findall(r"(?<!`)`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))
    tops = ("include/", "plugins/", "dags/", "docs/", "runbooks/", "tests/", "scripts/", "infra/", "bench/")
    named = [span.partition("::")[0] for span in spans if span.startswith(tops) and not re.search(r"[<*{ ]", span)]
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "runbooks").glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_has_what_a_reader_at_night_needs(page: Path):
    text = page.read_text()
    assert re.search(r"Next review: \d{4}-\d\d-\d\d", text)
    assert "Owner: " in text
    assert {"## Symptoms", "## Find out", "## How to know it worked"} <= set(re.findall(r"^## .+$", text, re.M))


def test_decisions_are_numbered_and_complete():
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for file in files:
        text = file.read_text()
        assert text.startswith(f"# {int(file.name[:4])}. ")
        headings = re.findall(r"^## (.+)$", text, re.M)
        assert headings == ["Context", "Decision", "Consequences"], file.name
        assert len(text.split()) <= 400, "half a page"
