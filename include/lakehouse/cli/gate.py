"""`lakehouse gate`: what gates found, and letting one failed candidate through."""

from __future__ import annotations

import getpass
import json
from typing import Annotated, Any

import typer

from lakehouse.cli.confirm import Yes, confirm
from lakehouse.cli.output import Format, Output, show

app = typer.Typer(no_args_is_help=True, help="Quality gates: what they found, overrides.")

TABLE = typer.Argument(help="The table, as layer.table.")
CANDIDATE = typer.Option(help="Fingerprint of the candidate, or its beginning.")
REASON = typer.Option(help="Why readers may see it; kept in ops.overrides.")
ALL = typer.Option("--all", help="Rules that hold, too.")


@app.command("show")
def show_gate(
    table: Annotated[str, TABLE],
    candidate: Annotated[str, CANDIDATE] = "",
    everything: Annotated[bool, ALL] = False,
    output: Output = Format.table,
) -> None:
    """What the table's latest gate found, or that of a candidate: the rules that failed, with keys of a few rows."""
    from lakehouse import manifest
    from lakehouse.quality.found import found

    name = manifest.load()[table].name
    rows = found(name, candidate)
    if rows and output is Format.table:
        first = rows[0]
        typer.echo(f"{name}, candidate {first['candidate'] or 'unnamed'}, {first['checked_ts']:%Y-%m-%d %H:%M:%S} UTC")
    show([_row(row) for row in rows if everything or not row["success"]], output)


@app.command("override")
def override(
    table: Annotated[str, TABLE],
    candidate: Annotated[str, CANDIDATE],
    reason: Annotated[str, REASON],
    yes: Yes = False,
) -> None:
    """Let one failed candidate through its gate, once, on record. Then clear the table's dq_gate task."""
    from lakehouse import manifest
    from lakehouse.quality.found import found
    from lakehouse.quality.override import grant

    name = manifest.load()[table].name
    failed = [f"{row['rule']}: {row['observed']}" for row in found(name, candidate) if not row["success"]]
    confirm(f"{name}: {'; '.join(failed) or 'no such candidate'}", "Let it through all the same?", yes)
    given = grant(name, candidate, getpass.getuser(), reason)
    typer.echo(
        f"{name}: candidate {given.candidate[:12]} may pass in spite of {', '.join(given.failed)} "
        f"(override {given.override_id}).\nClear the task {name.replace('.', '_')}.dq_gate with what is downstream."
    )


def _row(row: dict[str, Any]) -> dict[str, Any]:
    names = ("rule", "severity", "success", "observed")
    sample = json.loads(row.get("sample") or "[]")
    return {**{name: row[name] for name in names}, "sample": " ".join(sample), "candidate": row["candidate"]}
