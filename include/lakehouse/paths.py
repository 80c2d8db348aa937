"""The one module that knows where things lie in the lake.

Layout under the lake root:
    <layer>/<table>/                              a Delta table
    <layer>/<table>/_branch/<batch>/<attempt>/    a private branch of it (DESIGN 5)
    _landing/<layer>/<table>/<batch>/<load>/      Arrow extracts as Parquet, as the source gave them
    _stream/<layer>/<table>/                      raw records of its topic (a Delta table), where it stands
    _errors/<layer>/<table>/dt=<day>/run_id=<id>/ the error lane as JSON lines
    _jobs/<id>/                                   what a batch job was given, and its report
    ops/<name>/                                   ledger, quarantine, quality
"""

from __future__ import annotations

from pathlib import Path

from lakehouse.config import settings
from lakehouse.errors import LakehouseError


def lake() -> str:
    """Root of the lake, without a trailing slash."""
    return settings().lake.rstrip("/")


def table(name: str) -> str:
    """Path of the published Delta table `layer.table`."""
    layer, _, short = name.partition(".")
    return f"{lake()}/{layer}/{short}"


def branch(name: str, batch_id: str, attempt: str) -> str:
    """Path of the private branch of `name` for one attempt at one batch."""
    return f"{table(name)}/_branch/{batch_id}/{attempt}"


def landing(name: str, batch_id: str, load: int) -> str:
    """Folder that receives the extract of one load of one batch."""
    layer, _, short = name.partition(".")
    return f"{lake()}/_landing/{layer}/{short}/{batch_id}/{load}"


def stream(name: str) -> str:
    """Folder of what was streamed for `name`."""
    layer, _, short = name.partition(".")
    return f"{lake()}/_stream/{layer}/{short}"


def records(name: str) -> str:
    """Path of the Delta table with the raw records that were streamed for `name`."""
    return f"{stream(name)}/records"


def error_lane(name: str, day: str, run_id: str) -> str:
    """Folder of one load's quarantined rows as JSON lines; `day` is YYYY-MM-DD, `run_id` the batch's uuid (CON-3)."""
    layer, _, short = name.partition(".")
    return f"{lake()}/_errors/{layer}/{short}/dt={day}/run_id={run_id}"


def job(job_id: str) -> str:
    """Folder of what a batch job was given, and of its report."""
    return f"{lake()}/_jobs/{job_id}"


def ops(name: str) -> str:
    """Path of an operational Delta table: ledger, quarantine, quality."""
    return f"{lake()}/ops/{name}"


def contract_folder(name: str) -> Path:
    """The table folder of `layer.table`. Raises LakehouseError where there is none."""
    layer, _, short = name.partition(".")
    folder = settings().tables / layer / short
    if not folder.is_dir():
        raise LakehouseError(
            f"There is no table '{name}': {folder} does not exist.", "See `lakehouse status` for names."
        )
    return folder
