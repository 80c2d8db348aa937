"""What of a table has to go: everything or what changed, why, and its rows as a stream. Reads the lake only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import TYPE_CHECKING

from lakehouse import paths
from lakehouse.contracts.model import Contract
from lakehouse.delta.feed import CHANGE, VERSION
from lakehouse.warehouse.columns import Target, fingerprint, targets
from lakehouse.warehouse.faults import NotPublished

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of a batch that is read; few are held at once.
ROWS = 32_768
#: Sums of 38 digits, over as many rows as there may be, are exact.
_EXACT = Context(prec=100)


@dataclass(frozen=True)
class Held:
    """What the warehouse says that it holds; version -1: nothing."""

    version: int = -1
    table_id: str = ""
    columns: str = ""


@dataclass(frozen=True)
class Load:
    """What brings the warehouse to `version`. `why` tells why it is everything, "" where it is what changed."""

    contract: Contract
    columns: tuple[Target, ...]
    version: int
    table_id: str
    since: int
    why: str

    @property
    def path(self) -> str:
        """The table."""
        return paths.table(self.contract.name)

    @property
    def fingerprint(self) -> str:
        """Of columns and key."""
        return fingerprint(self.columns, self.contract.primary_key)

    @property
    def measures(self) -> tuple[Target, ...]:
        """Columns whose sums are compared."""
        return tuple(c for c in self.columns if c.is_measure)


def plan(contract: Contract, held: Held, whole: bool = False) -> Load:
    """What has to go to a warehouse that has `held`; `whole`: everything, whatever it has.

    Raises NotPublished for a table that does not go there, and for one without a version.
    """
    from lakehouse.delta import latest_version, schema_columns, table_id

    if not contract.warehouse:
        raise NotPublished(
            f"{contract.name} does not go to the warehouse.",
            f"Set the custom property warehouse to true in {contract.path}; gold tables go unless it is false.",
        )
    path = paths.table(contract.name)
    version = latest_version(path)
    if version < 0:
        raise NotPublished(
            f"{contract.name} was never published in the lake.", f"Run it first: `lakehouse run +{contract.name}`."
        )
    columns = targets(contract, frozenset(c.name for c in schema_columns(path)))
    load = Load(contract, columns, version, table_id(path, version), held.version, "")
    return replace(load, why="it was asked for" if whole else _why(load, held))


def _why(load: Load, held: Held) -> str:
    from lakehouse.delta import feed_problem

    if held.version < 0:
        return "it is the first time"
    if held.table_id != load.table_id or held.version > load.version:
        return "the table in the lake was made anew"
    if held.columns != load.fingerprint:
        return "its columns or key changed"
    problem = feed_problem(load.path, held.version + 1, load.version)
    return f"the changes are gone: {problem}" if problem else ""


def batches(load: Load) -> Iterator[pa.RecordBatch]:
    """The rows that go, a few at a time: the table's columns, CHANGE and VERSION. Nothing where nothing changed."""
    import pyarrow as pa

    from lakehouse.delta import changes

    names = [c.name for c in load.columns]
    if not load.why:
        if load.since < load.version:
            yield from changes(load.path, load.since + 1, load.version, names)
        return
    for batch in _rows(load, names):
        count = batch.num_rows
        extra = [pa.array(["insert"] * count, pa.string()), pa.array([load.version] * count, pa.int64())]
        yield pa.RecordBatch.from_arrays([*batch.columns, *extra], names=[*names, CHANGE, VERSION])


def totals(load: Load) -> list[int | Decimal | None]:
    """Rows of the version, and the sum of each measure; None where no row has a value. Streams these columns alone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = 0
    sums: list[Decimal | None] = [None] * len(load.measures)
    for batch in _rows(load, [c.name for c in load.measures]):
        rows += batch.num_rows
        for place, values in enumerate(batch.columns):
            scale = values.type.scale if pa.types.is_decimal(values.type) else 0
            part = pc.sum(values.cast(pa.decimal256(76 - 10, scale))).as_py()
            sums[place] = _plus(sums[place], part)
    return [rows, *sums]


def _rows(load: Load, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns of the version, a few rows at a time."""
    from lakehouse.delta import dataset

    found = dataset(load.path, version=load.version)
    assert found is not None
    batches: Iterator[pa.RecordBatch] = found.to_batches(
        columns=list(names), batch_size=ROWS, batch_readahead=2, fragment_readahead=1
    )
    return batches


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    if one is None or other is None:
        return one if other is None else other
    return _EXACT.add(one, other)


def compared(
    measures: Sequence[Target], here: Sequence[int | Decimal | None], there: Sequence[int | Decimal | None]
) -> str:
    """Which totals differ, with both values; "" where none does."""
    names = ["rows", *(f"sum of {c.name}" for c in measures)]
    parts = [
        f"{name}: {mine if mine is not None else 'none'} in the lake, {other if other is not None else 'none'} there"
        for name, mine, other in zip(names, here, there, strict=True)
        if mine != other
    ]
    return "; ".join(parts)
