"""CloudFormation: nobody may do everything, or anything to everything, without a written reason; buckets are closed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse import config

INFRA = Path(__file__).parents[2] / "infra"


class Loader(yaml.SafeLoader):
    """Reads !Sub, !Ref and the like as {tag: value}."""


def tagged(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    return {suffix: loader.construct_mapping(node, deep=True)}


Loader.add_multi_constructor("!", tagged)
TEMPLATES = {path.stem: yaml.load(path.read_text(), Loader) for path in sorted(INFRA.glob("*.yaml"))}
RESOURCES = {
    f"{template}.{name}": resource
    for template, told in TEMPLATES.items()
    for name, resource in told["Resources"].items()
}
every_resource = pytest.mark.parametrize("name", RESOURCES)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(value: Any) -> Iterator[dict[str, Any]]:
    """Every policy statement anywhere in a resource."""
    if isinstance(value, dict):
        if "Effect" in value:
            yield value
        for part in value.values():
            yield from statements(part)
    elif isinstance(value, list):
        for part in value:
            yield from statements(part)


def stars(resource: dict[str, Any]) -> set[str]:
    """Statements that allow any action of a service, or an action on anything."""
    found = set()
    for said in statements(resource["Properties"]):
        wide = any("*" in str(action) for action in listed(said["Action"])) or "*" in listed(said.get("Resource", ""))
        if said["Effect"] == "Allow" and wide:
            found.add(said.get("Sid", "without a Sid"))
    return found


@every_resource
def test_a_star_has_a_written_reason(name: str):
    reasons = RESOURCES[name].get("Metadata", {}).get("Stars", {})
    assert stars(RESOURCES[name]) == set(reasons)
    assert all(len(reason) > 30 for reason in reasons.values())


def test_a_star_is_seen():
    said = {"Sid": "All", "Effect": "Allow", "Action": ["s3:GetObject", "s3:*"], "Resource": "arn:aws:s3:::lake/*"}
    assert stars({"Properties": {"Policies": [{"PolicyDocument": {"Statement": [said]}}]}}) == {"All"}
    assert stars({"Properties": {"Statement": {**said, "Action": "s3:GetObject", "Resource": ["*"]}}}) == {"All"}
    assert stars({"Properties": {"Statement": {**said, "Action": "s3:GetObject"}}}) == set()


@every_resource
def test_nobody_unnamed_is_allowed_anything(name: str):
    for said in statements(RESOURCES[name]["Properties"]):
        if said["Effect"] == "Allow" and "Principal" in said:
            assert said["Principal"] != "*"
            assert "*" not in str(said["Principal"])
            # A service acts for many accounts: it must say that it is for ours.
            if "Service" in said["Principal"]:
                assert "aws:SourceAccount" in str(said["Condition"])


BUCKETS = [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::S3::Bucket"]


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_closed_versioned_encrypted_and_tidied(name: str):
    told = RESOURCES[name]["Properties"]
    assert RESOURCES[name]["DeletionPolicy"] == "Retain"
    assert told["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(told["PublicAccessBlockConfiguration"].values()) == {True}
    assert told["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    rules = told["LifecycleConfiguration"]["Rules"]
    assert any("NoncurrentVersionExpiration" in rule for rule in rules)
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)
    short = name.partition(".")[2]
    (policy,) = [
        r["Properties"]["PolicyDocument"]
        for r in RESOURCES.values()
        if r["Type"] == "AWS::S3::BucketPolicy" and r["Properties"]["Bucket"] == {"Ref": short}
    ]
    tls = {"Bool": {"aws:SecureTransport": "false"}}
    assert [s["Action"] for s in policy["Statement"] if s["Effect"] == "Deny" and s.get("Condition") == tls] == ["s3:*"]


def test_the_lake_is_encrypted_by_its_own_key():
    (rule,) = RESOURCES["storage.Lake"]["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": {"GetAtt": "Key.Arn"}}


def test_no_current_data_of_tables_expires():
    for rule in RESOURCES["storage.Lake"]["Properties"]["LifecycleConfiguration"]["Rules"]:
        assert "ExpirationInDays" not in rule or rule["Prefix"] == "lake/_errors/"


def actions(role: str) -> set[str]:
    return {
        action for said in statements(RESOURCES[f"roles.{role}"]["Properties"]) for action in listed(said["Action"])
    }


def test_each_job_has_a_role_without_the_others_rights():
    roles = {name.partition(".")[2] for name, r in RESOURCES.items() if r["Type"] == "AWS::IAM::Role"}
    assert roles == {"TasksRole", "SparkRole", "ApplyRole", "ReaderRole", "LakeFormationRole"}
    services = {role: {a.partition(":")[0] for a in actions(role)} - {"sts"} for role in roles - {"LakeFormationRole"}}
    assert services["SparkRole"] == {"s3", "kms"}
    assert "s3" not in services["ApplyRole"]
    assert "secretsmanager" in services["TasksRole"]
    assert not {"lakeformation:GrantPermissions", "glue:DeleteTable"} & actions("TasksRole")
    assert not {"s3:DeleteObject", "secretsmanager:GetSecretValue"} & actions("ReaderRole")


def test_the_role_that_applies_may_do_every_call_that_apply_makes():
    sources = "".join(path.read_text() for path in (INFRA.parent / "include/lakehouse/provision").glob("*.py"))
    made = set(re.findall(r'(?:call|pages)\(\s*(?:"(\w+)"|_SERVICE),\s*"(\w+)"', sources))
    assert len(made) > 25
    rights = {right.lower() for right in actions("ApplyRole")}
    for service, operation in made:
        right = f"{service or 'lakeformation'}:{operation.replace('_', '')}"
        assert right in rights or right == "sts:getcalleridentity", "sts answers that to everybody"


def test_names_follow_the_configuration():
    told = config.load({"LAKEHOUSE_CONFIG": "aws"})
    parameters = TEMPLATES["roles"]["Parameters"]
    assert parameters["Owner"]["Default"] == told.target.owner
    assert told.target.database.startswith(f"{told.target.owner}_")
    assert f"/{parameters['WatermarksPrefix']['Default']}" == told.watermark_location
    (measure,) = [s for s in statements(RESOURCES["roles.TasksRole"]["Properties"]) if s.get("Sid") == "Measure"]
    assert measure["Condition"]["StringEquals"]["cloudwatch:namespace"] == told.metrics.namespace
    assert {reader.principal.rpartition("/")[2] for reader in told.target.access.readers} >= {"lakehouse-analyst"}
