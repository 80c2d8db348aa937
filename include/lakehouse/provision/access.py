"""From the contracts' classifications to LF-tags and grants: every column says what it is, roles what they may see.

A column that no contract speaks of (a source grew it, or it holds what was unknown) has the table's own value,
`unknown`, which no reader should be granted: what nobody has looked at is shown to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lakehouse.contracts.model import Contract
from lakehouse.errors import ConfigError
from lakehouse.provision.catalog import database_of, key_of
from lakehouse.provision.kinds import Body
from lakehouse.sections import Access, Target

#: Operational columns that hold values of the source: as unknown as these are.
_UNKNOWN = ("_extra",)


def tag_key(target: Target, access: Access) -> str:
    """Key of the LF-tag."""
    return f"{target.owner}:{access.tag}"


def tags(target: Target, access: Access, contracts: Sequence[Contract]) -> dict[str, Body]:
    """The tag with the values that `contracts` use."""
    return {tag_key(target, access): {"values": dict.fromkeys(_values(access, contracts), True)}}


def check(access: Access, contracts: Sequence[Contract]) -> None:
    """Raises ConfigError for a reader who is to see what no contract knows: a misspelt value would grant nothing."""
    values = _values(access, contracts)
    for reader in access.readers:
        strange = sorted(set(reader.sees) - set(values))
        if strange or not reader.sees:
            raise ConfigError(
                f"aws.access.readers: {reader.principal} is to see {', '.join(strange) or 'nothing'}.",
                f"Use classifications of the contracts: {', '.join(values)}.",
            )


def _values(access: Access, contracts: Sequence[Contract]) -> list[str]:
    used = {column.classification for contract in contracts for column in contract.columns} - {""}
    return sorted({access.default, access.unknown, *used})


def database_assignments(target: Target, access: Access, contracts: Iterable[Contract]) -> dict[str, Body]:
    """The databases: whoever sees anything sees that they are there."""
    names = sorted({database_of(target, contract.layer) for contract in contracts})
    return {name: {"value": access.default, "columns": {}} for name in names}


def table_assignment(target: Target, access: Access, contract: Contract) -> dict[str, Body]:
    """A table and every column that its contract speaks of, operational ones too."""
    from lakehouse.pipeline.spec import table_spec

    said = {column.name: column.classification for column in contract.columns}
    columns = {
        column.name.lower(): said.get(column.name) or access.default
        for column in table_spec(contract).columns
        if column.name not in _UNKNOWN
    }
    return {key_of(target, contract): {"value": access.unknown, "columns": columns}}


def grants(target: Target, access: Access) -> dict[str, Body]:
    """What each reader is granted: to see the databases, and to select columns of what he may see."""
    key = tag_key(target, access)
    found: dict[str, Any] = {}
    for reader in access.readers:
        sees = {"if": [f"{key}={','.join(sorted(set(reader.sees)))}"], "permissions": ["DESCRIBE", "SELECT"]}
        found[f"{reader.principal} on TABLE"] = {"grants": [sees]}
        there = {"if": [f"{key}={access.default}"], "permissions": ["DESCRIBE"]}
        found[f"{reader.principal} on DATABASE"] = {"grants": [there]}
    return found
