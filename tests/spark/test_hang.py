"""A server that hangs is told of by the test that waits for it, and keeps no other test waiting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HUNG = """
import pytest


@pytest.mark.timeout(15, func_only=True)
def test_waits(spark):
    spark.sql("SELECT reflect('java.lang.Thread', 'sleep', 600000L)").collect()


def test_comes_after(spark):
    spark.sql("SELECT 1").collect()
"""


@pytest.mark.long(40)
def test_a_hang_is_told_and_ends(tmp_path: Path) -> None:
    tests = tmp_path / "test_hung.py"
    tests.write_text(HUNG)
    command = [sys.executable, "-m", "pytest", "-p", "tests.spark.conftest", "-p", "no:cacheprovider", str(tests)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False).stdout
    assert "2 failed" in told, told
    assert "Threads of the Spark server" in told and "java.lang.Thread.sleep" in told, told
