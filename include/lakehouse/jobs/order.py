"""An order: what a job is to do, as the arguments of its entry script; and the report that it leaves behind.

Batches travel as a file beside the report, not as arguments: their number has no bound, that of arguments has.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NoReturn, get_args

from lakehouse.errors import LakehouseError
from lakehouse.pipeline.batch import Batch, Kind, Run

#: How far a job takes its tables.
Through = Literal["transform", "publish"]


class OrderWrong(LakehouseError):
    """Arguments that make no order."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise OrderWrong; argparse would print its own words and exit."""
        raise OrderWrong(f"The job's arguments are wrong: {message}.", "See lakehouse_job.py --help.")


class ReportMissing(LakehouseError):
    """A job ended, well as its cluster says, and left no report."""


@dataclass(frozen=True)
class Order:
    """Tables to be computed for `run`. `folder` holds batches.json and report.json; "" is for neither."""

    tables: tuple[str, ...]
    run: Run
    through: Through = "transform"
    folder: str = ""
    #: Name of the configuration, and its LAKEHOUSE_HOME; "" leaves it to the driver's environment.
    config: str = ""
    home: str = field(default="", compare=False)

    def arguments(self) -> list[str]:
        """The order as the entry script takes it; `parse` is the inverse."""
        told = [argument for table in self.tables for argument in ("--table", table)]
        told += ["--run-id", self.run.run_id, "--kind", self.run.kind, "--end", self.run.end.isoformat()]
        told += ["--trace-id", self.run.trace_id, "--through", self.through]
        if self.run.start:
            told += ["--start", self.run.start.isoformat()]
        for name in ("folder", "config", "home"):
            if getattr(self, name):
                told += [f"--{name}", getattr(self, name)]
        return told


def parse(arguments: Sequence[str]) -> Order:
    """The order that `arguments` are. Raises OrderWrong; `--help` prints and exits."""
    parser = _Parser("lakehouse_job.py", description=__doc__)
    parser.add_argument("--table", action="append", required=True, help="layer.table; once for each")
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--kind", choices=get_args(Kind), default="manual")
    parser.add_argument("--start", type=_moment, help="start of the run's window, with its offset from UTC")
    parser.add_argument("--end", type=_moment, required=True, help="its end")
    parser.add_argument("--trace-id", default="", help="32 hex digits; default: what the run id implies")
    parser.add_argument("--through", choices=get_args(Through), default="transform", help="publish: gates, commits too")
    parser.add_argument("--folder", default="", help="folder with batches.json, for report.json; disk or s3a://")
    parser.add_argument("--config", default="", help="name of a file of include/config")
    parser.add_argument("--home", default="", help="LAKEHOUSE_HOME")
    told = parser.parse_args(arguments)
    run = Run(told.run_id, told.kind, told.end, told.start, told.trace_id)
    return Order(tuple(told.table), run, told.through, told.folder, told.config, told.home)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment


def give(place: str, batches: Sequence[Batch]) -> None:
    """Leave `batches` for the job: of bronze tables the extract's, of others those this run has branched."""
    from lakehouse.delta import store

    store.replace(f"{place}/batches.json", json.dumps([batch.to_dict() for batch in batches]).encode())


def take(place: str) -> dict[str, Batch]:
    """{table: Batch} as `give` left them; none where there is no file."""
    from lakehouse.delta import store

    try:
        told = json.loads(store.read(f"{place}/batches.json")) if place else []
    except FileNotFoundError:
        told = []
    return {value["table"]: Batch.from_dict(value) for value in told}


def report(place: str, told: dict[str, Any]) -> None:
    """Leave what became of the job."""
    from lakehouse.delta import store

    if place:
        store.replace(f"{place}/report.json", json.dumps(told, indent=1, default=str).encode())


def read_report(place: str) -> dict[str, Any]:
    """What the job left. Raises ReportMissing."""
    from lakehouse.delta import store

    try:
        found: dict[str, Any] = json.loads(store.read(f"{place}/report.json"))
    except FileNotFoundError:
        raise ReportMissing(
            f"The job ended and left no report in {place}.", "Read its driver's log for the cause, then clear the task."
        ) from None
    return found
