"""`lakehouse branch`: what is being worked on, what it would change, and clearing up what nobody needs.

Reads logs and Parquet files; starts no Spark.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli.output import Format, Output, show
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from lakehouse.delta.inventory import Folder

app = typer.Typer(no_args_is_help=True, help="Branches of tables: list, look at, compare, collect.")

#: What `collect` takes for dead unless told otherwise.
DEAD_AFTER = timedelta(hours=168)

ID = typer.Argument(help="Id of a branch, or its beginning, as `lakehouse branch list` shows it.")
TABLE = typer.Option(help="Only this table, as layer.table.")
DRY_RUN = typer.Option("--dry-run", help="Only tell what would be deleted.")
HOURS = typer.Option(help="A branch in which nothing was written for so many hours is dead.", min=1)


class BranchUnknown(LakehouseError):
    """No branch, or several, have that id."""


@app.command("list")
def list_branches(table: Annotated[str | None, TABLE] = None, output: Output = Format.table) -> None:
    """Every branch on record: open (worked on), published (clearing up is due), dead (`collect` will take it)."""
    show([_row(name, folder) for name in _tables(table) for folder in _folders(name)], output)


@app.command("show")
def show_branch(branch_id: Annotated[str, ID], output: Output = Format.table) -> None:
    """One branch: where it lies and what publishing it would change."""
    from lakehouse.delta import diff

    name, folder = _find(branch_id)
    told: dict[str, Any] = {**_row(name, folder), "path": folder.path}
    if folder.branch:
        change = diff(folder.branch)
        told |= {"files_added": change.files_added, "files_removed": change.files_removed}
        told |= {"fingerprint": change.fingerprint}
    show(
        [told] if output is Format.json else [{"what": key, "value": str(value)} for key, value in told.items()], output
    )


@app.command("diff")
def diff_branch(branch_id: Annotated[str, ID], output: Output = Format.table) -> None:
    """Rows added, removed and changed by primary key; sums of measures before and after; columns added."""
    from lakehouse import paths
    from lakehouse.contracts import load_contract
    from lakehouse.delta.compare import compare

    name, folder = _find(branch_id)
    if folder.branch is None:
        raise BranchUnknown(f"The branch {branch_id} was dropped.", "Nothing of it can be published any more.")
    key = () if name.startswith("ops.") else load_contract(paths.contract_folder(name)).primary_key
    found = compare(folder.branch, key)
    rows = [
        {"what": f"rows {kind}", "before": None, "after": getattr(found, kind)}
        for kind in ("added", "removed", "changed")
    ]
    rows += [{"what": f"sum of {column}", "before": str(a), "after": str(b)} for column, (a, b) in found.sums.items()]
    rows += [{"what": "new column", "before": None, "after": column} for column in found.columns]
    show(rows, output)


@app.command()
def collect(
    table: Annotated[str | None, TABLE] = None,
    older_than: Annotated[int, HOURS] = 168,
    dry_run: Annotated[bool, DRY_RUN] = False,
    output: Output = Format.table,
) -> None:
    """Delete what dead branches left and no version within the retention of deleted files refers to."""
    from lakehouse import delta, paths

    rows = []
    for name in _tables(table):
        done = delta.collect(paths.table(name), timedelta(hours=older_than), dry_run=dry_run)
        row = {"table": name, "branches": done.branches, "files": done.files, "bytes": done.bytes}
        rows.append({**row, "waiting": done.waiting})
    show([row for row in rows if any(row[k] for k in ("branches", "files", "waiting"))], output)


def _tables(only: str | None) -> list[str]:
    from lakehouse import manifest

    known = [*(entry.name for entry in manifest.load().entries), "ops.quarantine"]
    if only and only not in known:
        raise BranchUnknown(f"There is no table '{only}'.", f"Name one of: {', '.join(known)}.")
    return [only] if only else known


def _folders(name: str) -> list[Folder]:
    """The folders of branches on record; what dropped ones left is for `collect` to tell."""
    from lakehouse import paths
    from lakehouse.delta.inventory import folders

    return [folder for folder in folders(paths.table(name)) if folder.branch]


def _find(branch_id: str) -> tuple[str, Folder]:
    matches = [(n, f) for n in _tables(None) for f in _folders(n) if f.branch and f.branch.id.startswith(branch_id)]
    if len(matches) != 1:
        found = "Several branches begin" if matches else "No branch begins"
        raise BranchUnknown(f"{found} with '{branch_id}'.", "See `lakehouse branch list`.")
    return matches[0]


def _row(name: str, folder: Folder) -> dict[str, Any]:
    from lakehouse.delta import diff
    from lakehouse.delta.inventory import published_version

    branch = folder.branch
    row: dict[str, Any] = {"table": name, "branch": "", "age": _age(time.time() - folder.touched), "base": None}
    row |= {"mode": "", "files": None, "rows": None, "state": "dead"}
    if branch:
        row |= {"branch": branch.id[:12], "base": branch.base_version, "mode": branch.mode}
        try:
            change = diff(branch)
            row |= {"files": change.files_added, "rows": change.rows_added, "state": "open"}
        except LakehouseError:
            row["state"] = "dead"  # Nothing to publish: its log was never finished, or the table went away.
        if time.time() - folder.touched > DEAD_AFTER.total_seconds():
            row["state"] = "dead"
        if published_version(branch) is not None:
            row["state"] = "published"
    return row


def _age(seconds: float) -> str:
    minutes = int(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"
