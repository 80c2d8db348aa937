"""What happens inside a submitted driver: the tables of an order, by the same steps as everywhere else."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lakehouse.errors import LakehouseError
from lakehouse.jobs import order
from lakehouse.jobs.order import Order, OrderWrong


def main(arguments: Sequence[str], package: str) -> int:
    """Do what `arguments` order and leave a report; 0, or 1 with the error in the report. `package` is its name."""
    from lakehouse import log
    from lakehouse.spark import driver

    log.configure()
    asked = None
    try:
        asked = order.parse(arguments)
        _configure(asked)
        batches = do(asked)
        told = {"package": package, "application": _application(), "batches": [batch.to_dict() for batch in batches]}
        order.report(asked.folder, told)
    except Exception as error:
        if isinstance(error, LakehouseError):
            sys.stderr.write(f"error: {error}\n")
            what, remedy = error.what, error.remedy
        else:
            # Nobody but the driver's log is told more: a text of Spark's may quote a row.
            traceback.print_exc()
            what, remedy = "The job broke.", "Read its driver's log."
        if asked:
            told = {"type": type(error).__name__, "what": what, "remedy": remedy}
            order.report(asked.folder, {"package": package, "error": told})
        return 1
    finally:
        driver.stop()
    return 0


def do(asked: Order) -> list[Any]:
    """The batches of an order: on branches, or published. Raises what the steps raise, and OrderWrong."""
    from lakehouse import log, manifest

    tables = manifest.load()
    entries = [entry for entry in tables.entries if entry.name in {tables[name].name for name in asked.tables}]
    if asked.through == "transform":
        return _transform(tables, entries, asked)
    from lakehouse.pipeline.run import run_tables

    brought = {member for entry in entries for member in tables.group_of(entry.name)}
    sources = sorted(entry.name for entry in brought if entry.connection)
    if sources:
        raise OrderWrong(f"A job cannot extract: {', '.join(sources)}.", "Load them first; order computed tables.")

    def none(*_: str) -> NoReturn:
        raise AssertionError("no table of the order has a source")

    return run_tables(
        tables, entries, asked.run, none, none, lambda table, step: log.get().info("step", table=table, job=step)
    )


def _transform(tables: Any, entries: Sequence[Any], asked: Order) -> list[Any]:
    """Each on a branch; one reads another's branch where the two are published together."""
    from lakehouse.contracts import load_contract
    from lakehouse.pipeline.transform import compute, load_landed

    given = order.take(asked.folder)
    done: dict[str, Any] = {}
    for entry in entries:
        contract = load_contract(Path(entry.folder))
        if contract.source:
            if entry.name not in given:
                raise OrderWrong(f"{entry.name}: no extract's batch came along.", "Extract first; put it in --folder.")
            done[entry.name] = load_landed(contract, given[entry.name])
            continue
        together = {member.name for member in tables.group_of(entry.name)} - {entry.name}
        candidates = {name: batch for name, batch in {**given, **done}.items() if name in together}
        done[entry.name] = compute(contract, asked.run, candidates)
    return list(done.values())


def _configure(asked: Order) -> None:
    """What the order says of configuration and home goes before the driver's environment."""
    from lakehouse.config import settings

    for name, value in (("LAKEHOUSE_CONFIG", asked.config), ("LAKEHOUSE_HOME", asked.home)):
        if value:
            os.environ[name] = value
    # The archive's own, never those of an installation on the machine.
    os.environ.pop("LAKEHOUSE_TABLES", None)
    settings.cache_clear()


def _application() -> dict[str, str]:
    """Which application of which cluster did it, as Spark says."""
    from lakehouse.spark import driver

    context = driver.new_session().sparkContext
    return {"master": context.master, "id": context.applicationId, "spark": context.version}
