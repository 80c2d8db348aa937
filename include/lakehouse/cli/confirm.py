"""Asking before something that is hard to take back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lakehouse.errors import LakehouseError

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class NotConfirmed(LakehouseError):
    """Nobody said yes."""


def confirm(what: str, question: str, yes: bool) -> None:
    """Show `what` and ask, unless `yes`. Raises NotConfirmed where nobody says yes, or nobody can be asked."""
    if yes:
        return
    if not on_terminal():
        raise NotConfirmed("There is no terminal to ask on.", "Say --yes to do it unasked.")
    typer.echo(what, err=True)
    if not typer.confirm(question, err=True):
        raise NotConfirmed("Nothing was changed.", "Answer y to do it.")


def on_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()
