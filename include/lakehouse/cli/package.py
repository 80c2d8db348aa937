"""`lakehouse package`: what a batch job needs, as one archive beside its entry script and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show

OUT = typer.Option("--out", help="Folder for the three files; made if absent.")
UPLOAD = typer.Option("--upload", help="s3://bucket/prefix that gets them too, by the connection aws_default.")


def package(
    out: Annotated[Path, OUT] = Path("dist"),
    upload: Annotated[str | None, UPLOAD] = None,
    output: Output = Format.table,
) -> None:
    """Build the archive, entry script and manifest of a Spark job. The same checkout gives the same bytes and names.

    Nothing is replaced, on disk or S3: files that are there hold the same.
    """
    from lakehouse.errors import LakehouseError
    from lakehouse.jobs.package import build

    if upload and not upload.startswith(("s3://", "s3a://")):
        raise LakehouseError(f"--upload {upload} is not on S3.", "Write s3://bucket/prefix; --out is for folders.")
    built = build()
    placed = [(where, built.write(where)) for where in (str(out), *([upload] if upload else []))]
    sizes = {"archive": len(built.archive), "entry": len(built.entry), "manifest": len([*built.files().values()][-1])}
    rows = [{"part": part, "bytes": sizes[part], "path": path} for _, paths in placed for part, path in paths.items()]
    show(rows, output)
