"""`lakehouse backfill`: a range of days once more, in one pass; and what was staged, published, or to be taken back."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from lakehouse.cli.confirm import Yes, confirm
from lakehouse.cli.output import Format, Output, show

app = typer.Typer(help="A range of days once more, in one pass.")

TABLE = typer.Option("--table", "-t", help="orders (that source and all below it) or silver.orders. Repeatable.")
START = typer.Option(help="First day, YYYY-MM-DD, or a moment.")
END = typer.Option(help="Last day, included, or a moment.")
FROM = typer.Option(
    "--from", help="bronze: compute what landed anew. source: load what the ledger lacks, then compute."
)
AS_OF = typer.Option(help="With --from bronze: leave out rows ingested after this day or moment.")
STAGE = typer.Option("--stage", help="Leave the result on branches; see `lakehouse backfill publish`.")
CHUNK = typer.Option(help="Days that are loaded at once.", min=1, max=3650)
CONFIRM = typer.Option("--confirm", help="Do it. Without it the plan is shown, and nothing is changed.")
ID = typer.Argument(help="Id of a backfill, or its beginning: `lakehouse backfill list`.")


@app.callback(invoke_without_command=True)
def backfill(
    context: typer.Context,
    table: Annotated[list[str] | None, TABLE] = None,
    start: Annotated[str, START] = "",
    end: Annotated[str, END] = "",
    origin: Annotated[str, FROM] = "bronze",
    as_of: Annotated[str, AS_OF] = "",
    stage: Annotated[bool, STAGE] = False,
    chunk_days: Annotated[int, CHUNK] = 31,
    do_it: Annotated[bool, CONFIRM] = False,
    output: Output = Format.table,
) -> None:
    """Restate or fill a range of days of a table and of all that is made of it. Killed, the same command goes on."""
    if context.invoked_subcommand:
        return
    from rich.console import Console

    from lakehouse import backfill as library
    from lakehouse import connections, manifest
    from lakehouse.cli.run import outcome, pii_key

    tables = manifest.load()
    asked = library.Request.typed(table or [], start, end, origin, as_of, stage, chunk_days)
    plan = library.plan(tables, asked)
    if not do_it:
        show([step.to_row() for step in plan.steps], output, "What --confirm would do")
        if output is Format.table:
            typer.echo(
                f"Nothing was changed. {len(plan.tables)} tables, {_time(plan)}. Do it: the same with --confirm."
            )
        return
    console = Console(stderr=True)
    with console.status("starting") as line:
        done = library.work(
            tables,
            plan,
            connections.open_source,
            pii_key,
            lambda place, step: line.update(f"{place}: {step}"),
        )
    rows = [
        {"backfill": done.backfill_id[:8], **outcome(batch), **_branch(batch, done.staged)} for batch in done.batches
    ]
    show(rows, output)
    if output is Format.table:
        short = done.backfill_id[:8]
        after = f"publish {short}` makes it the tables" if done.staged else f"undo {short}` takes it back"
        typer.echo(f"`lakehouse backfill {after}.")


@app.command("list")
def list_backfills(output: Output = Format.table) -> None:
    """Backfills on record, the newest first: begun, staged, published, undone."""
    from lakehouse.backfill import records

    show([_record(found) for found in records()], output)


@app.command()
def publish(backfill_id: Annotated[str, ID], output: Output = Format.table) -> None:
    """Make every table what its staged branch holds. Refused where a table was changed since."""
    from lakehouse import manifest
    from lakehouse.backfill import publish_staged
    from lakehouse.cli.run import outcome

    show([outcome(batch) for batch in publish_staged(manifest.load(), backfill_id)], output)


@app.command()
def undo(backfill_id: Annotated[str, ID], yes: Yes = False, output: Output = Format.table) -> None:
    """Take back a backfill in all its tables. Refused where one of them was changed since."""
    from lakehouse import backfill as library
    from lakehouse import manifest
    from lakehouse.backfill.record import one

    found = one(backfill_id)
    confirm(f"{', '.join(found.tables)}: {_record(found)}", "Take it back?", yes)
    done = library.undo(manifest.load(), found.backfill_id, getpass.getuser())
    show([{"table": name, "versions taken back": str(versions)} for name, versions in done.items()], output)


def _time(plan: Any) -> str:
    known = [step.seconds for step in plan.steps if step.action and step.seconds is not None]
    if not known:
        return "time unknown: nothing like it was done before"
    return f"about {sum(known):,.0f} s by what earlier loads took"


def _branch(batch: Any, staged: bool) -> dict[str, Any]:
    from lakehouse.delta import Branch

    return {"branch": Branch.from_json(batch.branch).id[:12] if batch.branch else ""} if staged else {}


def _record(found: Any) -> dict[str, Any]:
    asked = found.request
    row = {
        "backfill": found.backfill_id[:8],
        "state": found.state,
        "by": found.by,
        "begun": f"{found.begun:%Y-%m-%d %H:%M}",
    }
    row |= {"asked for": " ".join(asked["tables"]), "from": asked["from"], "start": asked["start"], "end": asked["end"]}
    return {**row, "tables": len(found.tables)}
