"""`lakehouse setup`: what a machine needs before the first run, done once and checked after."""

from __future__ import annotations

import typer


def setup() -> None:
    """Find a Java runtime and resolve the Spark jars; later starts need no network."""
    from lakehouse.spark.jars import resolve_jars
    from lakehouse.spark.java import java_home

    typer.echo(f"Java: {java_home()}")
    typer.echo("Spark jars: resolving (once) ...")
    typer.echo(f"Spark jars: {len(resolve_jars())} in place.")
