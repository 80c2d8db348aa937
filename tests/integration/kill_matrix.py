"""Who may die where in a load: the cases, which of them an everyday run takes, and the page that tells of all of them.

Light: nothing is run here (see `test_kill_points`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lakehouse.config import PROJECT
from lakehouse.killpoints import POINTS

PAGE = PROJECT / "docs" / "kill-matrix.md"
COLUMNS = ("table", "who dies", "where", "left behind", "what the next attempt did", "seconds", "verdict")
#: The verdict on a case that went well.
GOOD = "as undisturbed"

#: One table of each kind of source, and one that is computed.
ORDERS, EVENTS, PRICES = "bronze.orders", "bronze.behavior_events", "bronze.vendor_prices"
SOURCED = (ORDERS, EVENTS, PRICES)
COMPUTED, INPUT = "silver.products", "bronze.products"
#: The one that an everyday run takes whole.
WHOLE = PRICES

#: Statements that Spark runs for each step of a second day's load.
STATEMENTS = {
    ORDERS: {"transform": 1, "dq_gate": 1},
    EVENTS: {"transform": 1, "dq_gate": 1},
    PRICES: {"transform": 2, "dq_gate": 1},
    COMPUTED: {"transform": 3, "dq_gate": 3},
}
#: Steps of every table by the first word of their points; those of the engine below have tests of their own.
COMMON = ("gate", "batch")
STEPS = {"bronze": (*COMMON, "extract", "load", "quarantine", "watermark"), "silver": (*COMMON, "compute")}


@dataclass(frozen=True)
class Case:
    """Who dies where in the load of a table: the worker at a kill point, Spark while a statement runs."""

    table: str
    who: str
    where: str

    def __str__(self) -> str:
        """As the id of a test."""
        return f"{self.table}-{self.who}-{self.where.replace(' ', '_')}"

    def cells(self) -> str:
        """What its row of the page begins with."""
        return f"| {self.table} | {self.who} | `{self.where}` |"


def points(table: str) -> list[str]:
    """Kill points that a load of `table` comes by, in order."""
    return [point for point in POINTS if point.partition(".")[0] in STEPS[table.partition(".")[0]]]


WORKER = [Case(table, "worker", point) for table in (*SOURCED, COMPUTED) for point in points(table)]
SPARK = [
    Case(table, "Spark", f"{step} {number}")
    for table, steps in STATEMENTS.items()
    for step, count in steps.items()
    for number in range(1, count + 1)
]
CASES = WORKER + SPARK

ALL = os.environ.get("LAKEHOUSE_KILL_MATRIX") == "all"
SEED = int(os.environ.get("LAKEHOUSE_KILL_SEED") or 1)


def chosen() -> list[Case]:
    """All cases, or those of an everyday run: one source whole, and of the rest as many as the seed draws."""
    if ALL:
        return CASES
    draw = random.Random(SEED)
    # Tables one after the other: what they begin with is made once for each.
    one = draw.choice([ORDERS, EVENTS, COMPUTED])
    rest = draw.sample([case for case in WORKER if case.table == one], 2)
    whole = [case for case in WORKER if case.table == WHOLE]
    return [*whole, draw.choice([case for case in SPARK if case.table == WHOLE]), *rest]


@dataclass(frozen=True)
class Told:
    """What became of a case."""

    case: Case
    left: str
    did: str
    seconds: float
    verdict: str

    def line(self) -> str:
        """As a row of the page."""
        return f"{self.case.cells()} {self.left} | {self.did} | {self.seconds:.1f} | {self.verdict} |"


def write(told: Iterable[Told], day: str, minutes: float, page: Path = PAGE) -> None:
    """Write the page: every case in order, of the run of `day` that took so many minutes."""
    lines = [one.line() for one in told]
    said = f"Last run {day}: {len(lines)} cases, {minutes:.0f} minutes on two cores, shop of seed 7."
    _render([said], lines, page)


def amend(told: Iterable[Told], day: str, page: Path = PAGE) -> None:
    """Put cases that were run again, on `day`, in the place of their rows; the page says how many and when."""
    rows = {one.case.cells(): one.line() for one in told}
    text = page.read_text().splitlines()
    found = [line for line in text if line.startswith("| ")][1:]
    lines = [rows.get("|".join(line.split("|")[:4]) + "|", line) for line in found]
    (whole,) = [line for line in text if line.startswith("Last run")]
    _render([whole, f"Run again on {day}: {len(rows)} of them."], lines, page)


def _render(runs: list[str], lines: list[str], page: Path) -> None:
    """The page of these rows; `runs` says when they were made."""
    page.write_text(f"""# Kill matrix

Whoever dies wherever in a load, the next attempt ends as if nothing had happened: the same rows, quarantine, error
lane, ledger and watermark as in a lake that nobody disturbed, each once, and no branch left over. Between the death and
that attempt, readers see the table as before the load or as after it.

`make kill-matrix` runs every case and writes this page; `make test-all` takes one source whole and a few others that
LAKEHOUSE_KILL_SEED draws, `make test` some of these. A worker dies by SIGKILL at a named point
(`include/lakehouse/killpoints.py`); the Spark server dies as soon as it is at a statement of a step, before the worker
has the answer, and is started again while the worker still hopes for it. Sources are the generated shop's, through
their real clients, with the project's own contracts; the load is that of its second day, in slices.

{chr(10).join(runs)}

| {" | ".join(COLUMNS)} |
|{"---|" * len(COLUMNS)}
{chr(10).join(lines)}
""")
