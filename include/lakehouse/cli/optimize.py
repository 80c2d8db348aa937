"""`lakehouse optimize`: files made large and ordered, what nobody needs deleted. No row changes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lakehouse.cli.output import Format, Output, show

SELECTOR = typer.Argument(help="bronze.*, silver.orders, ops.*, * (every table), or several.")
ZORDER = typer.Option(help="Column to order by; once for each. Default: what each contract's layout says.")
HOURS = typer.Option(help="How long removed files and silent branches are kept.", min=168)
DRY_RUN = typer.Option("--dry-run", help="Only tell what would be done.")


def optimize(
    selector: Annotated[str, SELECTOR],
    zorder: Annotated[list[str] | None, ZORDER] = None,
    hours: Annotated[int, HOURS] = 168,
    dry_run: Annotated[bool, DRY_RUN] = False,
    output: Output = Format.table,
) -> None:
    """OPTIMIZE on a branch, VACUUM, dead branches, landing past its retention. Nothing is done where nothing changed.

    Safe beside readers and runs. JSON has sizes of files before and after in full.
    """
    from rich.console import Console

    from lakehouse import manifest
    from lakehouse.maintenance import maintain, selected

    rows = []
    with Console(stderr=True).status("starting") as line:
        for name in selected(manifest.load(), selector):
            line.update(name)
            rows.append(maintain(name, zorder, hours=hours, dry_run=dry_run).to_row())
    show(rows if output is Format.json else [_short(row) for row in rows], output)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """What fits on a line; the histogram as the buckets that hold files."""
    kept = {key: row[key] for key in ("table", "state", "version", "files_before", "files_after", "bytes_after")}
    sizes = " ".join(f"{bucket}:{count}" for bucket, count in row["histogram_after"].items() if count)
    rest = {key: row[key] for key in ("partitions", "skipped", "vacuumed", "branches", "landing", "seconds")}
    return {**kept, "sizes": sizes, **rest}
