"""What a source says of the rows it gave: their number and sums, asked of it itself, beside what was landed of them.

Asked right after the rows, slice by slice, with the very query that read them. A source that changes meanwhile may say
otherwise without anything being lost, so such rules bear a difference or warn where it does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol, runtime_checkable

from lakehouse.contracts.model import Contract
from lakehouse.delta import store
from lakehouse.errors import LakehouseError
from lakehouse.ingest.feed import Feed, Slice
from lakehouse.ingest.landing import landing_files, opened, slices_of

#: Beside the landing files; Spark skips names that start with an underscore.
FILE = "_SOURCE"


class FiguresRefused(LakehouseError):
    """A question that the source has no answer to, or a sum of what is no number."""


@runtime_checkable
class Asked(Protocol):
    """A feed whose source can be asked."""

    def figures(self, piece: Slice, columns: Sequence[str]) -> Sequence[Decimal]:
        """Rows of `piece`, then the sum of each of `columns` (names of the contract), as the source says now."""


def columns_of(contract: Contract) -> tuple[str, ...]:
    """Columns whose sums the contract's rules ask for."""
    return tuple(sorted({rule.params["of"] for rule in contract.rules if "of" in rule.params}))


def ask(contract: Contract, feed: Feed, folder: str) -> None:
    """Keep in `folder` what source and landing files say, {"rows": [landed, source], column: [...]}; once.

    Nothing is asked where no rule wants it. Raises FiguresRefused for a source that cannot be
    asked, or a column that it gave as no number.
    """
    if not any(rule.kind == "source" for rule in contract.rules):
        return
    if not isinstance(feed, Asked):
        raise FiguresRefused(
            f"{contract.name}: its source cannot be asked for counts.", "Drop its rules of kind source."
        )
    columns = columns_of(contract)
    said = [Decimal(0)] * (1 + len(columns))
    for piece in slices_of(folder):
        said = [total + more for total, more in zip(said, feed.figures(piece, columns), strict=True)]
    landed = _landed(contract, columns, folder)
    told = {name: [str(landed[name]), str(value)] for name, value in zip(("rows", *columns), said, strict=True)}
    store.replace(f"{folder}/{FILE}", json.dumps(told).encode())


def figures(contract: Contract, folder: str) -> dict[str, tuple[float, float]]:
    """{rule: (as landed, as the source says)} of the load in `folder`; empty where nobody asked."""
    asked = [rule for rule in contract.rules if rule.kind == "source"]
    if not asked or not store.exists(f"{folder}/{FILE}"):
        return {}
    told = json.loads(store.read(f"{folder}/{FILE}"))
    return {
        rule.name: (float(told[name][0]), float(told[name][1]))
        for rule in asked
        if (name := rule.params.get("of", "rows")) in told
    }


def _landed(contract: Contract, columns: Sequence[str], folder: str) -> dict[str, Decimal]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = dict.fromkeys(("rows", *columns), Decimal(0))
    for path in landing_files(folder):
        with opened(path) as file:
            found["rows"] += file.metadata.num_rows
            there = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=there) if there else ():
                for name in there:
                    kind = batch.schema.field(name).type
                    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
                        raise FiguresRefused(
                            f"{contract.name}: the source gave {name} as {kind}, which has no sum.",
                            "Ask for the sum of a column that holds numbers.",
                        )
                    found[name] += Decimal(str(pc.sum(batch[name]).as_py() or 0))
    return found
