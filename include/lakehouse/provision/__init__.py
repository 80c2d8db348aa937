"""What stands in AWS because of the contracts: the catalog, LF-tags and grants, alarms and where they are told.

Each kind of thing is listed, compared with what should be there, and made so; nothing is remembered in between. What
is ours carries the owner tag. Not here: buckets, keys, roles (infra/) and the tables' data.
"""

from lakehouse.provision.apply import ApplyFailed, ForeignResource, apply
from lakehouse.provision.calls import AwsFailed, AwsRefused, AwsUnavailable
from lakehouse.provision.compare import Change, Wanted, plan
from lakehouse.provision.desired import PARTS, TargetMissing, desired, of_table

__all__ = [
    "PARTS",
    "ApplyFailed",
    "AwsFailed",
    "AwsRefused",
    "AwsUnavailable",
    "Change",
    "ForeignResource",
    "TargetMissing",
    "Wanted",
    "apply",
    "desired",
    "of_table",
    "plan",
]
