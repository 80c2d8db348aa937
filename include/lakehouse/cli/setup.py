"""`lakehouse setup`: what a machine needs before the first run, done once and checked after."""

from __future__ import annotations

import typer


def setup() -> None:
    """Find a Java runtime, resolve the Spark jars, archive their classes; later starts need no network."""
    from lakehouse.spark import classes
    from lakehouse.spark.jars import resolve_jars
    from lakehouse.spark.java import java_home

    typer.echo(f"Java: {java_home()}")
    typer.echo("Spark jars: resolving (once) ...")
    typer.echo(f"Spark jars: {len(resolve_jars())} in place.")
    typer.echo("Spark classes: archiving, so that servers start faster (once, half a minute) ...")
    try:
        made = classes.make()
    except OSError as error:
        typer.echo(f"Spark classes: not archived, servers start slower: {error}.")
    else:
        typer.echo(f"Spark classes: {made}." if made else "Spark classes: none archived; servers start slower.")
