"""`lakehouse aws`: what of AWS follows from contracts and configuration, compared and made so."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.confirm import Yes, confirm
from lakehouse.cli.output import Format, Output, show

if TYPE_CHECKING:
    from lakehouse.provision import Change, Wanted

app = typer.Typer(no_args_is_help=True, help="The AWS account: catalog, LF-tags and grants, alarms. No state is kept.")


class Part(StrEnum):
    """Choices of --only."""

    catalog = "catalog"
    access = "access"
    alarms = "alarms"


Only = Annotated[list[Part] | None, typer.Option("--only", help="Only this part; once for each. Default: all.")]
REMOVE = typer.Option("--remove", help="Remove what is ours and no contract asks for any more.")
ADOPT = typer.Option("--adopt", help="Things of our names that are not ours are ours from now on.")


@app.command()
def plan(only: Only = None, output: Output = Format.table) -> None:
    """What differs between the account and the contracts. Nothing is changed; nothing differs right after an apply.

    Removals are listed too; `apply` makes them with --remove only.
    """
    from lakehouse import provision

    show([_row(change, output) for change in provision.plan(_wanted(only))], output)


@app.command()
def apply(
    only: Only = None,
    remove: Annotated[bool, REMOVE] = False,
    adopt: Annotated[bool, ADOPT] = False,
    yes: Yes = False,
    output: Output = Format.table,
) -> None:
    """Make the account what the contracts say. Safe to do again after any failure: it goes on from what is there."""
    from rich.console import Console

    from lakehouse import provision

    wanted = _wanted(only)
    if remove:
        gone = [f"{c.kind.name} {c.key}" for c in provision.plan(wanted) if c.action == "remove"]
        if gone:
            confirm(f"To be removed: {', '.join(gone)}. Data is not touched.", "Remove them?", yes)
    with Console(stderr=True).status("comparing") as line:
        done = provision.apply(
            wanted, remove=remove, adopt=adopt, tell=lambda c: line.update(f"{c.action} {c.kind.name} {c.key}")
        )
    show([_row(change, output) for change in done], output)


def _wanted(only: list[Part] | None) -> list[Wanted]:
    from lakehouse import manifest, provision

    return provision.desired(manifest.load(), [part.value for part in only] if only else provision.PARTS)


def _row(change: Change, output: Format) -> dict[str, Any]:
    row = change.to_row()
    return row if output is Format.json else {**row, "differences": "\n".join(row["differences"])}
