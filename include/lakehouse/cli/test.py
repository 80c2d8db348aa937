"""`lakehouse test`: the given/expected cases of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli.output import Format, Output, show

SELECTOR = typer.Argument(help="Tables, as for `lakehouse run`: gold.fact_sales, silver.*, +gold.fact_sales, *.")


def test(selector: Annotated[str, SELECTOR] = "*", output: Output = Format.table) -> None:
    """Run the cases in the folders of the selected tables; exit 1 where one gives other rows than expected."""
    from lakehouse.contracts import load_contract
    from lakehouse.manifest import load
    from lakehouse.pipeline.spec import table_spec
    from lakehouse.spark import connected
    from lakehouse.transform.cases import cases, run

    tables = load()
    found = []
    with connected("cases") as spark:
        for entry in tables.select(selector):
            contract = load_contract(Path(entry.folder))
            schema = {
                name: {c.name: c.type for c in table_spec(load_contract(Path(tables[name].folder))).columns}
                for name in entry.reads
            }
            found += [(entry.name, run(spark, contract, case, schema)) for case in cases(contract)]
    show(
        [
            {
                "table": name,
                "case": outcome.case.path.stem,
                "result": "passed" if outcome.passed else "failed",
                "missing": "; ".join(map(str, outcome.missing)),
                "surplus": "; ".join(map(str, outcome.surplus)),
            }
            for name, outcome in found
        ],
        output,
    )
    if not all(outcome.passed for _, outcome in found):
        raise typer.Exit(1)
