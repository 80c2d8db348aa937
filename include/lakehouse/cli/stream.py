"""`lakehouse stream`: run a table's stream, see where it stands, and decide what only a person can."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lakehouse.cli.confirm import Yes, confirm
from lakehouse.cli.output import Format, Output, show
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.contracts import Contract
    from lakehouse.contracts.model import Source
    from lakehouse.stream.broker import Broker

app = typer.Typer(no_args_is_help=True, help="Streams of Kafka topics: run, status, reset, rewind, adopt, give-up.")

Table = Annotated[str, typer.Option("--table", help="The streamed table, e.g. bronze.shop_events.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept beside the stream.")]


class How(StrEnum):
    """When micro-batches are begun."""

    available_now = "available-now"
    continuous = "continuous"


@app.command("run")
def run_stream(
    table: Table,
    trigger: Annotated[How, typer.Option(help="What the topic has; or what comes, too.")] = How.available_now,
    minutes: Annotated[float, typer.Option(help="How long a continuous stream runs.", min=0.1)] = 10,
    output: Output = Format.table,
) -> None:
    """Land the topic's new records, each offset once. `lakehouse run` loads them from there."""
    from rich.console import Console

    from lakehouse.stream.land import stream

    console = Console(stderr=True)
    with _opened(table) as (contract, source, broker), console.status("starting") as line:
        done = stream(contract, source, broker, trigger.value, 60 * minutes, lambda told: line.update(told))
    show([done.to_row()], output)


@app.command("status")
def status(table: Table, output: Output = Format.table) -> None:
    """Offsets of the topic, landed and loaded, partition by partition."""
    from lakehouse.stream.words import standing

    with _opened(table) as (contract, source, broker):
        show(standing(contract, source, broker), output)


@app.command("reset")
def reset(table: Table, reason: Reason, yes: Yes = False) -> None:
    """Begin a new checkpoint where the landed records end: nothing is read twice, and nothing left out."""
    from lakehouse.stream import words

    with _opened(table) as (contract, _, _broker):
        confirm(f"The next run of {table}'s stream begins a new checkpoint.", "Reset it?", yes)
        told = words.reset(contract, getpass.getuser(), reason)
        typer.echo(f"{table}: {told.said[-1].what}.")


@app.command("rewind")
def rewind(
    table: Table,
    partition: Annotated[int, typer.Option(min=0)],
    offset: Annotated[int, typer.Option(help="The first offset to read again.", min=0)],
    reason: Reason,
    yes: Yes = False,
) -> None:
    """Take landed records out of landing, to be streamed again. Rows loaded of them stay, and are not doubled."""
    from lakehouse.stream import words

    with _opened(table) as (contract, source, broker):
        confirm(f"{table}: partition {partition} is read again from offset {offset}.", "Rewind it?", yes)
        count = words.rewind(contract, source, broker, partition, offset, getpass.getuser(), reason)
        typer.echo(f"{table}: {count} records are to be streamed again.")


@app.command("adopt")
def adopt(table: Table, reason: Reason, yes: Yes = False) -> None:
    """Read a topic that was deleted and made again, from its first offset."""
    from lakehouse.stream import words

    with _opened(table) as (contract, source, broker):
        confirm(f"{table} reads the new topic '{source.object}'; the old one's records stay.", "Adopt it?", yes)
        typer.echo(f"{table}: {words.adopt(contract, source, broker, getpass.getuser(), reason).said[-1].what}.")


@app.command("give-up")
def give_up(table: Table, reason: Reason, yes: Yes = False) -> None:
    """Go on without offsets that the topic deleted before they landed. They are lost; which, is kept."""
    from lakehouse.stream import words

    with _opened(table) as (contract, source, broker):
        confirm(f"{table} goes on without what topic '{source.object}' has deleted.", "Give it up?", yes)
        typer.echo(f"{table}: {words.give_up(contract, source, broker, getpass.getuser(), reason).said[-1].what}.")


@contextmanager
def _opened(table: str) -> Iterator[tuple[Contract, Source, Broker]]:
    """The table's contract, its source, and a client of its broker. Raises LakehouseError for one without a stream."""
    from lakehouse import connections, manifest
    from lakehouse.contracts import load_contract
    from lakehouse.paths import contract_folder

    tables = manifest.load()
    contract = load_contract(contract_folder(tables[table].name))
    if contract.source is None or not contract.source.streamed:
        known = ", ".join(entry.name for entry in tables.streamed().entries) or "none"
        raise LakehouseError(f"{table} is not streamed.", f"Streamed tables: {known}.")
    with closing(connections.open_source(contract.source.connection)) as broker:
        yield contract, contract.source, broker
