"""`lakehouse status`: every table at a glance."""

from __future__ import annotations

from lakehouse.cli.output import Format, Output, show


def status(output: Output = Format.table) -> None:
    """Rows, version, watermark, gate and loads of every table."""
    from lakehouse import manifest
    from lakehouse.status import as_row, table_status

    show([as_row(entry) for entry in table_status(manifest.load())], output)
