"""Locks: names and exact versions, all that is asked for in them, and no registry's host in any file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def committed() -> list[Path]:
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_file_names_a_package_registry():
    hosts = [
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "repo1.maven" + ".org",
        "maven" + ".org/maven2",
        "docker" + ".io",
    ]
    hosts += ["ghcr" + ".io", "quay" + ".io", "registry.npmjs" + ".org", "conda.anaconda" + ".org"]
    option = re.compile(r"(?:index-url|find-links|trusted-host|spark\.jars\.repositories)[ =]+\S*://")
    for path in committed():
        text = path.read_text(errors="ignore")
        named = [host for host in hosts if host in text] + option.findall(text)
        assert not named, f"{path.relative_to(ROOT)} names {named}"


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt", "requirements-jdk.txt"])
def test_a_lock_is_names_and_exact_versions(lock: str):
    lines = [line for line in (ROOT / lock).read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+(?:\[[\w,-]+\])?==[\w.!+]+(?: ; .+)?", line)] == []


@pytest.mark.parametrize("asked", ["requirements.in", "requirements-dev.in"])
def test_what_is_asked_for_is_locked(asked: str):
    def names(file: str) -> set[str]:
        lines = (ROOT / file).read_text().splitlines()
        return {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines if line[:1].isalpha()}

    assert names(asked) - names(asked.replace(".in", ".txt")) == set()
