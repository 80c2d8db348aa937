"""`lakehouse sandbox`: start, end and look at the stand-ins and Airflow on this machine.

What they are and how they run is in `lakehouse.sandbox`.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The stand-ins of every outside system, and Airflow, on this machine.")

AIRFLOW_OPTION = typer.Option("--airflow/--no-airflow", help="Also start Airflow. Without it: only the stand-ins.")
STREAM_OPTION = typer.Option("--stream", help="Also start Kafka, for lakehouse_stream.")


@app.command()
def up(airflow: Annotated[bool, AIRFLOW_OPTION] = True, stream: Annotated[bool, STREAM_OPTION] = False) -> None:
    """Start what is not running, and return when all of it answers."""
    import time

    from rich.console import Console

    from lakehouse.sandbox import stack

    # To standard error, and only on a terminal: in a pipe the command says the address and nothing else (OPS-7).
    console = Console(stderr=True)
    began = time.monotonic()
    doing: dict[str, str] = {}
    if console.is_terminal:
        with console.status("Starting the sandbox ...") as line:

            def show(name: str, what: str) -> None:
                doing[name] = what
                if what not in ("starting", "migrating"):
                    console.print(f"  {name:<24} {what}", highlight=False)
                waiting = [other for other, state in doing.items() if state in ("starting", "migrating")]
                line.update(f"Waiting for {', '.join(waiting)} ..." if waiting else "Starting the sandbox ...")

            address = stack.up(airflow, show, stream=stream)
        console.print(f"The sandbox is up after {time.monotonic() - began:.0f} s.", highlight=False)
    else:

        def warn(name: str, what: str) -> None:
            if "taken" in what:
                console.print(f"{name}: {what}", highlight=False)

        address = stack.up(airflow, warn, stream=stream)
    if address:
        typer.echo(address)


@app.command()
def down() -> None:
    """End every process of the sandbox. Its data stays."""
    from lakehouse.sandbox import stack

    ended = stack.down(lambda name, what: None)
    if sys.stderr.isatty():
        typer.echo(f"{ended} services ended." if ended else "Nothing was running.", err=True)


@app.command()
def status() -> None:
    """List the services. Exit code 1 when one of them has ended or does not answer, 3 when none was started."""
    from rich.console import Console
    from rich.table import Table

    from lakehouse.sandbox import stack

    services = stack.status()
    if not services:
        typer.echo("The sandbox is down. `lakehouse sandbox up` starts it.", err=True)
        raise typer.Exit(3)
    table = Table("service", "state", "pid", "port", "memory", "up for", box=None, pad_edge=False)
    for service in services:
        table.add_row(
            service.name,
            "running" if service.running else "[red]not answering[/red]",
            str(service.pid),
            str(service.port or ""),
            f"{service.memory / 2**20:.0f} MB",
            f"{service.age / 60:.0f} min",
        )
    Console().print(table)
    if not all(service.running for service in services):
        raise typer.Exit(1)


DAY_OPTION = typer.Option(
    help="Bring the shop to the end of this day; 0 is its history, 1 is 2025-10-01.", min=0, max=366
)


@app.command()
def seed(day: Annotated[int, DAY_OPTION] = 3) -> None:
    """Let the shop live up to a day: rows appear and change in the sources, files in S3. Days applied already stay."""
    from lakehouse.sandbox import demo

    typer.echo(f"{demo.seed(day)} rows are new in the sources.")
