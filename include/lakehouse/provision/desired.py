"""All that there should be, from the contracts and the configuration: what `plan` and `apply` go by."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lakehouse.config import settings
from lakehouse.contracts import load_contract
from lakehouse.contracts.model import Contract
from lakehouse.errors import ConfigError
from lakehouse.manifest import Manifest
from lakehouse.provision import access, catalog, monitoring
from lakehouse.provision.alarms import MetricAlarms
from lakehouse.provision.compare import Wanted
from lakehouse.provision.glue import Databases, Tables
from lakehouse.provision.kinds import OWNER
from lakehouse.provision.lakeformation import Assignments, Grants, LfTags
from lakehouse.provision.sns import Subscriptions, Topics, masked, topic_arn
from lakehouse.sections import Alarms, Target

#: What can be made by itself.
PARTS = ("catalog", "access", "alarms")


class TargetMissing(ConfigError):
    """The configuration says nothing of AWS."""


def _target() -> Target:
    target = settings().target
    if target is None:
        raise TargetMissing(
            "This configuration has no section 'aws': nothing is to be made there.",
            "Set LAKEHOUSE_CONFIG=aws, or add the section; docs/deploy.md tells every key.",
        )
    return target


def desired(manifest: Manifest, parts: Collection[str] = PARTS) -> list[Wanted]:
    """Everything of `parts`, in the order it can be made. A part without its section in the configuration is empty.

    Raises TargetMissing or ConfigError; AwsFailed where AWS must be asked who we are.
    """
    target = _target()
    contracts = [load_contract(Path(entry.folder)) for entry in manifest.entries]
    found: list[Wanted] = []
    if "catalog" in parts:
        tables = {catalog.key_of(target, c): catalog.table(target, c) for c in contracts}
        found.append(Wanted(Databases(target.owner), catalog.databases(target, contracts)))
        found.append(Wanted(Tables(target.owner), tables))
    if "access" in parts and target.access:
        access.check(target.access, contracts)
        found += _tagged(target, contracts, whole=True)
        key = access.tag_key(target, target.access)
        found.append(Wanted(Grants(target.owner, key), access.grants(target, target.access)))
    if "alarms" in parts and target.alarms:
        found += _alarms(target, target.alarms, contracts)
    return found


def of_table(contract: Contract, grown: Mapping[str, str] | None = None) -> list[Wanted]:
    """What one table needs to be found and protected: its database, itself, its LF-tags. Nothing else is looked at.

    `grown` are columns that it has beyond its contract.
    """
    target = _target()
    table = {catalog.key_of(target, contract): catalog.table(target, contract, grown)}
    found = [
        Wanted(Databases(target.owner), catalog.databases(target, [contract]), whole=False),
        Wanted(Tables(target.owner), table, whole=False),
    ]
    return [*found, *_tagged(target, [contract], whole=False)]


def _tagged(target: Target, contracts: Sequence[Contract], *, whole: bool) -> list[Wanted]:
    """The LF-tag, and what carries it."""
    told = target.access
    if told is None:
        return []
    assigned = access.database_assignments(target, told, contracts)
    for contract in contracts:
        assigned |= access.table_assignment(target, told, contract)
    return [
        Wanted(LfTags(target.owner), access.tags(target, told, contracts), whole),
        Wanted(Assignments(access.tag_key(target, told), assigned), assigned, whole),
    ]


def _alarms(target: Target, told: Alarms, contracts: Sequence[Contract]) -> list[Wanted]:
    made = not told.topic.startswith("arn:")
    name = f"{target.owner}-{told.topic}" if made else told.topic
    arn = topic_arn(name)
    topic = {name: {"key": told.topic_key, "tags": {OWNER: target.owner}}} if made else {}
    mails = {masked(address): {"protocol": "email"} for address in told.mail}
    return [
        Wanted(Topics(target.owner), topic),
        Wanted(Subscriptions(arn, told.mail, ours=made), mails),
        Wanted(MetricAlarms(target.owner), monitoring.alarms(target, told, contracts, arn)),
    ]
