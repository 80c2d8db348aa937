"""`lakehouse quarantine`: rows set aside; look at them, judge them again, give them up.

Rows are shown as they landed: personal data is a token there.
"""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.confirm import Yes, confirm
from lakehouse.cli.output import Format, Output, show
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.quarantine import Choice, Kept

app = typer.Typer(no_args_is_help=True, help="Quarantine: list, show, replay, discard.")

TABLE = typer.Option(help="The table, as bronze.orders or orders.")
BATCH = typer.Option(help="Only rows set aside by this batch (id or its beginning).")
RULE = typer.Option(help="Only rows that break this rule.")
ID = typer.Option("--id", help="Only this row (id or its beginning).")
STATUS = typer.Option(help="Only rows that are open, replayed or discarded; all: every row.")
ROW = typer.Argument(help="Id of a row, or its beginning, as `lakehouse quarantine list --rows` shows it.")
ROWS = typer.Option("--rows", help="One line a row instead of one a group.")
REASON = typer.Option(help="Why; kept with the rows.")


class NothingChosen(LakehouseError):
    """No row of quarantine, or not one alone, is meant."""


@app.command("list")
def list_rows(
    table: Annotated[str, TABLE] = "",
    status: Annotated[str, STATUS] = "open",
    batch: Annotated[str, BATCH] = "",
    rule: Annotated[str, RULE] = "",
    rows: Annotated[bool, ROWS] = False,
    output: Output = Format.table,
) -> None:
    """Rows by table, status and the rules they break."""
    from lakehouse.quarantine import STATUSES, grouped, kept

    if status not in (*STATUSES, "all"):
        raise LakehouseError(f"There is no status '{status}'.", f"Use one of: {', '.join(STATUSES)}, all.")
    found = kept(_choice(table, "" if status == "all" else status, batch, rule))
    if not rows:
        show(grouped(found), output)
        return
    show(
        [
            {
                "id": row.quarantine_id if output is Format.json else row.quarantine_id[:12],
                "table": row.table,
                "status": row.status,
                "key": row.key,
                "reasons": ", ".join(row.reasons),
                "batch": row.batch_id,
                "set_aside": row.quarantined_ts.isoformat(timespec="seconds"),
            }
            for row in found
        ],
        output,
    )


@app.command("show")
def show_row(row: Annotated[str, ROW], output: Output = Format.table) -> None:
    """One row as it landed, its reasons, and what was said of it since."""
    from lakehouse.quarantine import Choice, kept, verdicts

    found = kept(Choice(id=row), rows=True)
    if len(found) != 1:
        what = "Several rows begin" if found else "No row begins"
        raise NothingChosen(f"{what} with '{row}'.", "See `lakehouse quarantine list --rows`.")
    (one,) = found
    told: dict[str, Any] = {name: getattr(one, name) for name in type(one).__dataclass_fields__}
    said = [{**verdict, "verdict_ts": str(verdict["verdict_ts"])} for verdict in verdicts(one.quarantine_id)]
    if output is Format.json:
        show([{**told, "row": json.loads(one.row), "verdicts": said}], output)
        return
    show([{"what": name, "value": str(value)} for name, value in told.items()], output)
    if said:
        show(said, output)


@app.command()
def replay(
    table: Annotated[str, TABLE],
    batch: Annotated[str, BATCH] = "",
    rule: Annotated[str, RULE] = "",
    row: Annotated[str, ID] = "",
    output: Output = Format.table,
) -> None:
    """Judge open rows again by today's contract; those that pass are audited and published, the others stay."""
    from rich.console import Console

    from lakehouse import connections
    from lakehouse.cli.run import outcome
    from lakehouse.cli.tables import one
    from lakehouse.config import settings
    from lakehouse.pipeline.replay import replay_kept

    contract = one(table)
    found = _open(contract.name, batch, rule, row, rows=True)
    with Console(stderr=True).status("starting") as line:
        done = replay_kept(
            contract,
            found,
            lambda: (connections.get(settings().pii_key_connection).password or "").encode(),
            lambda step: line.update(f"{contract.name}: {step}"),
        )
    show([outcome(done)], output)


@app.command()
def discard(
    table: Annotated[str, TABLE],
    reason: Annotated[str, REASON],
    batch: Annotated[str, BATCH] = "",
    rule: Annotated[str, RULE] = "",
    row: Annotated[str, ID] = "",
    yes: Yes = False,
) -> None:
    """Give open rows up. They stay on record, with who and why; a replay takes them no more."""
    from lakehouse.bronze.verdicts import discard_rows
    from lakehouse.cli.tables import one

    if not reason.strip():
        raise NothingChosen("Rows are not discarded without a reason.", "Say why: --reason.")
    name = one(table).name
    found = _open(name, batch, rule, row)
    rules = sorted({reason for kept_row in found for reason in kept_row.reasons})
    confirm(f"{len(found)} rows of {name}, which break {', '.join(rules)}.", "Discard them?", yes)
    discard_rows(name, [kept_row.quarantine_id for kept_row in found], getpass.getuser(), reason)
    typer.echo(f"{len(found)} rows of {name} discarded.")


def _open(table: str, batch: str, rule: str, row: str, *, rows: bool = False) -> list[Kept]:
    """The open rows that are meant. Raises NothingChosen where there is none."""
    from lakehouse.pipeline.reconcile import reconciled_events
    from lakehouse.quarantine import kept

    # A replay that died after its commit has let rows pass, though its publish is not on record yet.
    reconciled_events(table)
    found = kept(_choice(table, "open", batch, rule, row), rows=rows)
    if not found:
        raise NothingChosen(
            f"Quarantine holds no open row of {table} like that.", "See `lakehouse quarantine list --status all`."
        )
    if row and len(found) > 1:
        raise NothingChosen(f"Several open rows begin with '{row}'.", "Give more of the id.")
    return found


def _choice(table: str, status: str, batch: str, rule: str, row: str = "") -> Choice:
    from lakehouse.cli.tables import one
    from lakehouse.quarantine import Choice

    return Choice(one(table).name if table else "", status, batch, rule, row)
