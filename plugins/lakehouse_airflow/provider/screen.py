"""What `airflow dags backfill` shows: the plan, a line while it waits, the table at the end."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from lakehouse_airflow.provider.runs import Day, Found


def show_plan(days: Sequence[Day]) -> None:
    """A row a day: what a backfill would do with it."""
    rows = []
    for day in days:
        does = "runs again" if day.goes and day.there else "runs" if day.goes else "is left alone"
        rows.append((f"{day.logical_date:%Y-%m-%d %H:%M}", does, str(day.there.state) if day.there else ""))
    _table(("logical date", "what", "run that is there"), rows)


def show_runs(found: Iterable[Found]) -> None:
    """A row a run: how it ended."""
    rows = [
        (
            f"{run.logical_date:%Y-%m-%d %H:%M}",
            run.run_id,
            run.state,
            "" if run.seconds is None else f"{run.seconds:.0f} s",
            ", ".join(run.failed_tasks) or run.note,
        )
        for run in found
    ]
    _table(("logical date", "run", "state", "took", ""), rows)


def asked(what: str) -> bool:
    """Whether somebody on a terminal says yes."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{what} Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class Progress:
    """One line on a terminal, kept up to date; in a pipe nothing, or with `verbose` a line at each change."""

    def __init__(self, verbose: bool) -> None:
        from rich.console import Console

        self.verbose, self.told = verbose, ""
        self.line: Any = Console(stderr=True).status("starting")

    def __enter__(self) -> Self:
        """Begin to show."""
        self.line.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Clear the line."""
        self.line.stop()

    def tell(self, found: Sequence[Found]) -> None:
        """How the runs stand now."""
        states = Counter(run.state for run in found)
        ended = states["success"] + states["failed"]
        now = ", ".join(f"{run.logical_date:%Y-%m-%d}" for run in found if run.state == "running")
        text = f"{ended} of {len(found)} runs ended, {states['failed']} failed" + (f"; running {now}" if now else "")
        self.line.update(text)
        if self.verbose and text != self.told:
            sys.stderr.write(f"{text}\n")
        self.told = text


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(header_style="bold")
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
