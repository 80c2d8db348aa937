"""Runbooks are read at night: each has the same parts, and every command in it is one that can be typed.

What reads only is typed here, against an empty lake; SQL is parsed; of all else, program and options are looked up.
"""

from __future__ import annotations

import re
import shlex
import shutil
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lakehouse.cli.main import app
from lakehouse.config import settings
from lakehouse.transform.sql import parse_query
from tests.unit.test_requirements_doc import problem

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "runbooks").glob("*.md"))
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)

#: Commands of ours that read, or rehearse, and need no server.
READING = (
    "status",
    "plan",
    "branch list",
    "backfill list",
    "branch collect --dry-run",
    "contracts lint",
    "sandbox status",
    "watermarks list",
    "metrics",
)
#: Programs that a machine has, or that the page need not explain.
PROGRAMS = {"df", "du", "find", "ls", "mv", "set", ".venv/bin/python", "."}
#: Of Airflow's own command line: group and command, and how many words follow at least.
AIRFLOW = {
    "dags list-runs": 1, "dags backfill": 1, "tasks states-for-dag-run": 2, "pools list": 0, "backfill create": 0,
}  # fmt: skip


def commands(page: Path) -> list[str]:
    """Every line of the page's shell blocks, indented ones too."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.M | re.S)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def parts(command: str) -> list[list[str]]:
    """The words of each command on a line, `;` between them."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=";")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word == ";":
            found.append([])
        else:
            found[-1].append(word)
    return found


COMMANDS = sorted({command for page in PAGES for command in commands(page)})


@every_page
def test_a_runbook_has_its_parts(page: Path) -> None:
    text = page.read_text()
    assert text.startswith("# ")
    reviewed = re.search(r"Reviewed: (\d{4}-\d\d-\d\d)\. Next review: (\d{4}-\d\d-\d\d)\.", text)
    assert reviewed
    first, following = (date.fromisoformat(day) for day in reviewed.groups())
    assert 0 < (following - first).days <= 100
    assert "Owner: " in text
    parts = re.findall(r"^## (.+)$", text, re.M)
    assert parts[0] == "Symptoms"
    assert parts[-1] == "How to know it worked"
    assert commands(page)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_can_be_typed(command: str) -> None:
    for words in parts(command):
        if words[0] == "lakehouse":
            assert problem(shlex.join(words)) == ""
            if words[1] == "query":
                assert parse_query(words[2]).reads
        elif words[0] == "airflow":
            assert len(words) - 3 >= AIRFLOW[" ".join(words[1:3])]
        elif words[0] == "python":
            assert (ROOT / words[1]).is_file()
        else:
            assert words[0] in PROGRAMS, words


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if re.sub(r"^lakehouse ", "", c) in READING or c.endswith("--dry-run")]
)
def test_what_reads_only_works_on_an_empty_lake(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", "")
    settings.cache_clear()
    try:
        done = CliRunner().invoke(app, shlex.split(command)[1:])
    finally:
        settings.cache_clear()
    assert done.exit_code in ((0, 3) if "sandbox" in command else (0,)), done.output
    assert not done.exception or isinstance(done.exception, SystemExit)


@pytest.mark.skipif(not shutil.which("df") or not shutil.which("du"), reason="no df or du on this machine")
def test_df_and_du_take_their_options(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / ".lakehouse").mkdir()
    for command in (c for c in COMMANDS if c.startswith(("df ", "du "))):
        subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True)
