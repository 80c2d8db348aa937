"""`lakehouse demo`: what `make run` runs. The whole platform on this machine, three days of it."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from lakehouse.cli.output import Format, show

DAYS = typer.Option(help="Days of the shop to run, one DAG run each.", min=1, max=31)
ONCE = typer.Option(help="Stop after the summary instead of keeping the UI up.")
STREAM = typer.Option("--stream", help="With Kafka: the shop's apps send events, streamed before each day's run.")


def demo(
    days: Annotated[int, DAYS] = 3, once: Annotated[bool, ONCE] = False, stream: Annotated[bool, STREAM] = False
) -> None:
    """Start everything, run consecutive days through the real scheduler, and sum up.

    Leaves summary.json in LAKEHOUSE_HOME. Exit code 1 when a run failed. Ctrl-C ends every process it started.
    """
    from rich.console import Console

    from lakehouse.config import settings
    from lakehouse.sandbox import stack
    from lakehouse.sandbox.demo import Demo
    from lakehouse.spark.jars import resolve_jars
    from lakehouse.spark.java import java_home

    console = Console(stderr=True)
    # SIGINT too: a script starts what it puts into the background with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()

    def tell(phase: str, what: str) -> None:
        # Soft: in a pipe a line is a line, however long.
        console.print(
            f"[dim]{time.monotonic() - began:5.0f} s[/dim]  {phase:<24} {what}", highlight=False, soft_wrap=True
        )

    ok = False
    try:
        setup_began = time.monotonic()
        java_home()
        resolve_jars()
        jars = time.monotonic() - setup_began
        url = stack.up(True, tell, stream=stream) or ""
        tour = Demo(url, tell, stream=stream)
        tour.summary.phases |= {"check jars": round(jars, 1), "start": round(time.monotonic() - setup_began - jars, 1)}
        summary = tour.run(days)
        path = settings().home / "summary.json"
        path.write_text(json.dumps(asdict(summary), indent=2) + "\n")
        _print(asdict(summary), str(path))
        ok = summary.ok
        if not once:
            typer.echo(f"\nAirflow: {url}   (Ctrl-C ends everything)")
            signal.pause()
    except KeyboardInterrupt:
        tell("sandbox", "stopping")
    finally:
        stack.down(lambda name, what: None)
    if not ok:
        raise typer.Exit(1)


def _print(summary: dict[str, Any], path: str) -> None:
    columns = ("table", "rows", "new", "changed", "removed", "quarantined", "watermark", "gate", "seconds")
    show([{name: row[name] for name in columns} for row in summary["tables"]], Format.table, "Tables")
    show([{"phase": name, "seconds": seconds} for name, seconds in summary["phases"].items()], Format.table, "Phases")
    for run in summary["runs"]:
        failed = f", failed: {', '.join(run['failed'])}" if run["failed"] else ""
        typer.echo(f"{run['run_id']}: {run['state']} ({run['tasks']} tasks{failed})")
    typer.echo(f"\nSummary: {path}")
    typer.echo("Try next:")
    typer.echo(
        '  .venv/bin/lakehouse query "SELECT order_date, sum(net_amount) FROM gold.fact_sales GROUP BY 1 ORDER BY 1"'
    )
    typer.echo("  .venv/bin/lakehouse status")
