"""The root of the command line: mounts the commands, and turns our errors into one message with a remedy."""

from __future__ import annotations

import os
import sys

import structlog
import typer

from lakehouse.cli import (
    aws,
    backfill,
    books,
    branch,
    contracts,
    demo,
    gate,
    intervals,
    metrics,
    optimize,
    package,
    plan,
    quarantine,
    query,
    replay,
    revert,
    run,
    sandbox,
    settings,
    setup,
    spark,
    status,
    stream,
    test,
    warehouse,
    watermarks,
)
from lakehouse.errors import LakehouseError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Run and look at the lakehouse. State lives under LAKEHOUSE_HOME, tables under LAKEHOUSE_TABLES.",
)
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(contracts.app, name="contracts")
app.add_typer(settings.app, name="settings")
app.add_typer(spark.app, name="spark")
app.add_typer(branch.app, name="branch")
app.add_typer(watermarks.app, name="watermarks")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(gate.app, name="gate")
app.add_typer(backfill.app, name="backfill")
app.add_typer(stream.app, name="stream")
app.add_typer(warehouse.app, name="warehouse")
app.add_typer(aws.app, name="aws")
app.command()(setup.setup)
app.command()(status.status)
app.command()(run.run)
app.command()(intervals.intervals)
app.command()(books.books)
app.command()(replay.replay)
app.command()(revert.revert)
app.command()(query.query)
app.command()(test.test)
app.command()(optimize.optimize)
app.command()(plan.plan)
app.command()(metrics.metrics)
app.command()(package.package)
app.command()(demo.demo)


def main() -> None:
    """Run the command line. Exit codes: 0 well, 1 an error told in one message, 2 wrong usage, 130 Ctrl-C."""
    from lakehouse import log
    from lakehouse.config import load, settings
    from lakehouse.sandbox import envfile

    try:
        # A running sandbox says where its Spark server is; the user's own environment has the last word.
        told = envfile.read(envfile.path(load().home)).get("LAKEHOUSE_SPARK_REMOTE")
        if told:
            os.environ.setdefault("LAKEHOUSE_SPARK_REMOTE", told)
        log.configure(settings().logs / "lakehouse.jsonl")
        app()
    except LakehouseError as error:
        structlog.get_logger("lakehouse").error("command failed", error=type(error).__name__)
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
