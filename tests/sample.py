"""Long tests: every run takes a few, each commit others; all with LAKEHOUSE_TESTS=all, as `make test-all` has it.

`@pytest.mark.long(seconds)` marks a test, or a file whose tests share what takes long, with what it takes beside
another worker, or twice what it takes alone; above a limit it is run with all only. Those named on the command line are
taken too. Where several work, the longest files begin first.
"""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from random import Random

import pytest

#: Seconds of long tests after which a tier's run takes no more, and above which a test is never taken.
BUDGET, LIMIT = int(os.environ.get("LAKEHOUSE_LONG_SECONDS") or 20), 100
ALL = os.environ.get("LAKEHOUSE_TESTS") == "all"
LEFT_OUT = pytest.StashKey[int]()


def seed() -> str:
    """The commit, or LAKEHOUSE_SAMPLE: what decides which are taken."""
    asked = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return os.environ.get("LAKEHOUSE_SAMPLE") or found or "no commit"


def choose(seconds: Mapping[str, float], budget: float, seed: str) -> set[str]:
    """Names of `seconds` until `budget` is spent, in an order that depends on `seed` alone; none above LIMIT."""
    order, taken = sorted(name for name in seconds if seconds[name] <= LIMIT), set()
    Random(seed).shuffle(order)
    for name in order:
        if budget <= 0:
            break
        taken.add(name)
        budget -= seconds[name]
    return taken


def unit(item: pytest.Item) -> tuple[str, float] | None:
    """(the test or file that is marked long, its seconds)."""
    for node, mark in item.iter_markers_with_node("long"):
        return node.nodeid, float(mark.args[0])
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests that are not taken, and let the files with the longest begin."""
    long = {item: found for item in items if (found := unit(item))}
    seconds = dict(long.values())
    named = config.option.keyword or any("::" in argument for argument in config.args)
    taken = set(seconds) if ALL or named else choose(seconds, BUDGET, seed())
    left_out = [item for item, (name, _) in long.items() if name not in taken]
    if left_out:
        items[:] = [item for item in items if item not in long or long[item][0] in taken]
        config.hook.pytest_deselected(items=left_out)
        config.stash[LEFT_OUT] = len(left_out)
    if hasattr(config, "workerinput"):
        files: dict[str, float] = defaultdict(float)
        for name in taken:
            files[name.partition("::")[0]] += seconds[name]
        items.sort(key=lambda item: -files[item.nodeid.partition("::")[0]])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells how many it left out."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Every worker collected the same."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not run, and how to run it."""
    if count := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{count} long tests left out, others with every commit (now {seed()}): `make test-all` runs all."
        )
