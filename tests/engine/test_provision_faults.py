"""Every call to AWS goes wrong once, in each way there is: tried again or named, and the next apply heals."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from lakehouse import provision
from lakehouse.provision import calls
from tests.account import LATENCY, STEWARD, Once, denied, hooked, lost, throttled

READING = {
    "GetDatabases", "GetTables", "ListLFTags", "GetResourceLFTags", "ListPermissions", "GetCallerIdentity",
    "ListTopics", "GetTopicAttributes", "ListTagsForResource", "ListSubscriptionsByTopic", "DescribeAlarms",
}  # fmt: skip
WRITING = {
    "CreateDatabase", "UpdateDatabase", "DeleteDatabase", "CreateTable", "UpdateTable", "DeleteTable",
    "CreateLFTag", "UpdateLFTag", "DeleteLFTag", "AddLFTagsToResource", "GrantPermissions", "RevokePermissions",
    "CreateTopic", "DeleteTopic", "SetTopicAttributes", "TagResource", "Subscribe", "Unsubscribe",
    "PutMetricAlarm", "DeleteAlarms",
}  # fmt: skip


def journey(account):
    """Steps that together make every call there is; each must be applied until it is done."""
    yield {}
    account.edit("bronze.customers", "classification: pii", "classification: secret")
    account.edit("bronze.customers", "slaProperties:\n", LATENCY)
    account.set_access(readers=({"principal": STEWARD, "sees": ("internal", "secret")},))
    account.set_alarms(topic_key="alias/alarms", mail=("ann@shop.example",))
    glue, database = account.client("glue"), f"{account.owner}_bronze"
    there = glue.get_database(Name=database)["Database"]
    told = {"Name": database, "Parameters": there["Parameters"], "Description": "spoilt"}
    glue.update_database(Name=database, DatabaseInput=told)
    arn = next(a for a in arns(account.client("sns")) if a.endswith(f":{account.owner}-alarms"))
    account.client("sns").untag_resource(ResourceArn=arn, TagKeys=["managed-by"])
    yield {"adopt": True, "remove": True}
    account.drop("silver.customers")
    account.set_access(tag="sensitivity")
    account.set_alarms(topic="pager")
    yield {"remove": True}


def arns(sns):
    return [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]


@pytest.fixture
def quick(monkeypatch):
    """No waiting between attempts."""
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.mark.parametrize("fault", [throttled, lost], ids=["throttled", "answer-lost"])
def test_what_may_pass_is_tried_again(account, quick, fault):
    once = Once(fault)
    with hooked("before-send", once):
        for options in journey(account):
            account.apply(**options)
            assert account.plan() == [] or not options.get("remove")
    assert set(once.failed) == READING | WRITING
    assert account.plan() == []


@pytest.mark.long(5)
@pytest.mark.parametrize(
    ("event", "fault", "attempts", "named"),
    [
        (
            "before-call",
            denied,
            6,
            r"failed: AccessDeniedException\.\s+-> Give the role of aws_default the right \w+:\w+, then",
        ),
        ("before-send", lost, 1, "ReadTimeoutError"),
    ],
    ids=["denied", "half-done"],
)
def test_what_does_not_pass_is_named_and_the_next_apply_heals(account, monkeypatch, event, fault, attempts, named):
    retries = (("mode", "standard"), ("total_max_attempts", attempts))
    monkeypatch.setattr(calls, "SETTINGS", {**calls.SETTINGS, "retries": retries})
    once = Once(fault)
    told = []
    with hooked(event, once):
        for options in journey(account):
            for _ in range(60):
                before = len(once.failed)
                try:
                    account.apply(**options)
                except (provision.AwsFailed, provision.ApplyFailed) as error:
                    told.append(str(error))
                    assert len(once.failed) > before, error
                else:
                    break
            else:
                pytest.fail("it never heals")
    assert account.plan() == []
    assert set(once.failed) == READING | WRITING
    text = "\n".join(told)
    for operation in once.failed:
        assert operation.lower() in text.replace("_", "").lower(), operation
    assert all(re.search(named, one) for one in told)
    assert "secret-value" not in text
