"""The maintenance script is the command by another name."""

from __future__ import annotations

import runpy
import shlex
from pathlib import Path

import pytest

from tests.unit.test_requirements_doc import problem

SCRIPT = Path(__file__).parents[2] / "scripts" / "maintenance" / "optimize_tables.py"
DEFAULTS = ("--hours", "168", "--output", "table")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (
            ["--table", "silver.orders", "--zorder", "customer_id", "order_date"],
            ["optimize", "silver.orders", *DEFAULTS, "--zorder", "customer_id", "--zorder", "order_date"],
        ),
        (
            ["--table", "silver.orders", "gold.*", "--dry-run", "--output", "json", "--hours", "200"],
            ["optimize", "silver.orders gold.*", "--hours", "200", "--output", "json", "--dry-run"],
        ),
        ([], ["optimize", "*", *DEFAULTS]),
    ],
)
def test_the_script_says_what_the_command_takes(typed: list[str], meant: list[str]) -> None:
    found = runpy.run_path(str(SCRIPT))["arguments"](typed)
    assert found == meant
    assert problem(shlex.join(["lakehouse", *found])) == ""


def test_less_than_a_week_is_wrong_usage() -> None:
    assert "equal to 168" in problem("lakehouse optimize silver.orders --hours 167")
