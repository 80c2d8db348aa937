"""One table into the catalog, after its publish: columns that the table grew beyond its contract included."""

from __future__ import annotations

from lakehouse import paths
from lakehouse.contracts.model import Contract
from lakehouse.provision.apply import apply
from lakehouse.provision.compare import Change
from lakehouse.provision.desired import of_table


def register(contract: Contract) -> list[Change]:
    """Make catalog and LF-tags of one table what contract and Delta log say; the changes it took, mostly none.

    Raises what `apply` raises.
    """
    from lakehouse.delta import schema_columns

    known = {column.name for column in contract.columns}
    there = schema_columns(paths.table(contract.name))
    grown = {column.name: column.type for column in there if column.name not in known and column.name[:1] != "_"}
    return apply(of_table(contract, grown))
