"""`lakehouse status`: every table at a glance."""

from __future__ import annotations

from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show

#: In the view of --layout, and in JSON.
FILES = ("bytes", "layout", "median_file", "target_file", "file_sizes")
LAYOUT = typer.Option("--layout", help="How tables lie in files instead: partitions, order, sizes against the target.")


def status(layout: Annotated[bool, LAYOUT] = False, output: Output = Format.table) -> None:
    """Rows, version, watermark, gate and loads of every table; JSON has its layout too."""
    from lakehouse import manifest
    from lakehouse.status import as_layout, as_row, table_status

    found = table_status(manifest.load())
    if output is Format.json:
        show([as_row(entry) for entry in found], output)
    elif layout:
        show([as_layout(entry) for entry in found], output)
    else:
        show([{k: v for k, v in as_row(entry).items() if k not in FILES} for entry in found], output)
