"""Whether transform.sql gives what its contract asks for, as far as its text tells: told before any row is read."""

from __future__ import annotations

from lakehouse.contracts.model import Contract
from lakehouse.transform.sql import SqlError, TransformSql

#: What the SQL of a versioned dimension gives of each change, besides its columns.
CHANGE = ("valid_from", "_deleted", "_sequence")


def check_columns(contract: Contract, transform: TransformSql) -> None:
    """Raise SqlError where the SQL lacks columns of the contract. What a star stands for is not known here."""
    given = {name.lower() for name in transform.columns}
    scd2 = contract.scd2
    wanted = (*scd2.key, *scd2.tracked, *scd2.carried, *CHANGE) if scd2 else tuple(c.name for c in contract.columns)
    lacking = [name for name in wanted if name.lower() not in given]
    if lacking and "*" not in given:
        raise SqlError(
            f"{transform.path}:1: it does not return {', '.join(lacking)}, which {contract.name} has to have.",
            "Select them under these names, or take them out of the contract.",
        )
