"""A shop's days while everything goes on at once and anything may die: the daily run, upkeep, replays, backfills.

Seeded: the same seed begins the same commands and means the same deaths. When each comes by its point is the machine's.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from lakehouse import manifest
from lakehouse.killpoints import POINTS
from tests.integration.attempt import begin_command
from tests.platform import bring_back, kill
from tests.shop import CONFIG

#: Commands at once, the daily run among them.
BESIDE = 3
#: How many starts of commands are meant to die, and how many deaths a command has at most.
SHARE, DEATHS = 0.5, 4
#: Starts after which a command that nobody killed is given up: it will not come right by itself.
TRIES = 8
#: Seconds within which death comes, where it does not wait for a point.
SOON = 25.0
#: What these commands come by; stream and warehouse have tests of their own.
DEADLY = [point for point in POINTS if point.partition(".")[0] not in ("stream", "revert", "warehouse")]


@dataclass
class Job:
    """A command, until it has ended well."""

    name: str
    words: list[str]
    #: The daily run must end well; the others may be left where they died.
    must: bool
    starts: int = 0
    deaths: int = 0


@dataclass
class Running:
    """A command at work, and when it is to die."""

    job: Job
    process: BaseProcess
    said: Path
    #: Of the monotonic clock; infinite for one that dies at a kill point, or not at all.
    moment: float


@dataclass
class Chaos:
    """Days of one lake. `tell(event, what it was about)` hears of everything that happens."""

    home: Path
    stand_ins: Path
    rng: random.Random
    tell: Callable[..., None]
    #: What died, and what ended: by kind.
    count: Counter[str] = field(default_factory=Counter)
    _running: dict[int, Running] = field(default_factory=dict)
    _spark_dies: float = 0.0

    def day(self, number: int, until: float) -> None:
        """Bring the lake to the end of a day that the sources have come to. New side jobs begin only before `until`."""
        run = Job("daily", daily(number), must=True)
        self._start(run)
        self._spark_dies = time.monotonic() + self.rng.uniform(5, 3 * SOON)
        while self._running:
            going = any(one.job.must for one in self._running.values())
            while going and len(self._running) < BESIDE and time.monotonic() < until:
                self._start(self._side_job(number))
            self._await(going)
        # What replays and backfills brought after a table's turn is the next run's, and so is what was left half-way.
        self._start(Job("settling", run.words, must=True), calm=True)
        while self._running:
            self._await(going=False)

    def _side_job(self, number: int) -> Job:
        kind = self.rng.choice(["optimize", "optimize", "replay", "replay", "backfill", "backfill from source"])
        tables = [
            entry
            for entry in manifest.load().scheduled().entries
            if kind == "optimize" or entry.name.startswith("bronze.")
        ]
        table = self.rng.choice(sorted(entry.name for entry in tables))
        first = self.rng.randint(1, number)
        days = ["--start", _day(first), "--end", _day(self.rng.randint(first, number))]
        words = {
            "optimize": ["optimize", table],
            "replay": ["replay", table, *days],
            "backfill": ["backfill", "--table", table, *days, "--confirm"],
            "backfill from source": ["backfill", "--table", table, *days, "--from", "source", "--confirm"],
        }[kind]
        return Job(kind, words, must=False)

    def _start(self, job: Job, calm: bool = False) -> None:
        point, moment = "", float("inf")
        if not calm and job.deaths < DEATHS and self.rng.random() < SHARE:
            if self.rng.random() < 0.5:
                point = self.rng.choice(DEADLY)
            else:
                moment = time.monotonic() + self.rng.uniform(0, SOON)
        job.starts += 1
        said = self.home / "said" / f"{self.count['begun']}-{job.name.replace(' ', '-')}-{job.starts}.txt"
        said.parent.mkdir(exist_ok=True)
        said.write_text("")
        process = begin_command(job.words, said, point)
        self._running[process.sentinel] = Running(job, process, said, moment)
        self.count["begun"] += 1
        self.tell("begin", job=job.name, words=" ".join(job.words), start=job.starts, dies_at=point or _soon(moment))

    def _await(self, going: bool) -> None:
        """Return after something has ended, or somebody had to die."""
        due = min([one.moment for one in self._running.values()] + [self._spark_dies if going else float("inf")])
        wait = None if due == float("inf") else max(0.0, due - time.monotonic())
        for sentinel in connection.wait(list(self._running), wait):
            self._ended(self._running.pop(int(sentinel)))  # type: ignore[call-overload]
        for one in self._running.values():
            if one.moment <= time.monotonic():
                one.moment = float("inf")
                one.process.kill()
        if going and self._spark_dies <= time.monotonic():
            self._spark_dies = float("inf")
            self._kill_spark()

    def _ended(self, one: Running) -> None:
        one.process.join()
        job, code = one.job, one.process.exitcode
        said = _error(one.said) if code else ""
        self.tell("end", job=job.name, words=" ".join(job.words), start=job.starts, code=code, said=said)
        if code == 0:
            self.count[f"{job.name} ended well"] += 1
            return
        killed = code is not None and code < 0
        job.deaths += killed
        self.count[f"{job.name} {'killed' if killed else 'refused or failed'}"] += 1
        assert job.starts < TRIES or not job.must, f"{job.words} does not come right: {one.said.read_text()}"
        if job.must or (self.rng.random() < 0.7 and job.starts < TRIES):
            self._start(job)

    def _kill_spark(self) -> None:
        kill(self.stand_ins, "spark")
        self.count["Spark killed"] += 1
        self.tell("kill", what="Spark")
        bring_back(self.stand_ins)
        self.tell("back", what="Spark")


def daily(number: int) -> list[str]:
    """The daily run of day `number`, as one types it."""
    return ["run", "*", "--end", _day(number)]


def quietly(words: Sequence[str], said: Path) -> None:
    """A command that nobody disturbs."""
    process = begin_command(words, said)
    process.join()
    assert process.exitcode == 0, said.read_text()


def difference(one: Path, other: Path) -> dict[str, tuple[int, int]]:
    """Tables whose rows are not the same in the lakes of two homes, operational columns aside: rows only in either."""
    import duckdb
    from deltalake import DeltaTable

    found = {}
    for folder in sorted(
        path.parent for layer in ("bronze", "silver", "gold") for path in (other / "lake" / layer).glob("*/_delta_log")
    ):
        theirs = DeltaTable(str(folder)).to_pyarrow_table()
        names = [name for name in theirs.column_names if not name.startswith("_")]
        a = DeltaTable(str(one / folder.relative_to(other))).to_pyarrow_table().select(names)
        b = theirs.select(names)
        with duckdb.connect() as db:
            db.register("a", a)
            db.register("b", b)
            counts = [
                int(db.execute(f"SELECT count(*) FROM (FROM {x} EXCEPT ALL FROM {y})").fetchall()[0][0])
                for x, y in (("a", "b"), ("b", "a"))
            ]
        if any(counts):
            found[f"{folder.parent.name}.{folder.name}"] = (counts[0], counts[1])
    return found


def _day(number: int) -> str:
    return str(CONFIG.first_day + timedelta(days=number - 1))


def _soon(moment: float) -> str:
    return "" if moment == float("inf") else f"{moment - time.monotonic():.1f} s"


def _error(said: Path) -> str:
    """What a command said went wrong, without its remedy."""
    lines = said.read_text(errors="replace").splitlines()
    return next((line for line in lines if line.startswith("error: ")), lines[-1] if lines else "")[:300]
