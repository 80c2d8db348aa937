"""The SNS topic that alarms are told to, and the mails it sends. Topic names begin with the owner."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from lakehouse import aws
from lakehouse.provision.calls import Absent, call, pages
from lakehouse.provision.kinds import OWNER, Body, Found, Kind

#: What SNS says in place of the ARN of a subscription that nobody has confirmed; it lapses after three days.
_PENDING = "PendingConfirmation"


def topic_arn(name: str) -> str:
    """ARN of the topic `name` in the account and region that we are in; an ARN is its own."""
    if name.startswith("arn:"):
        return name
    caller = call("sts", "get_caller_identity", "the account")["Arn"].split(":")
    return f"arn:{caller[1]}:sns:{aws.credentials(aws.access()).region}:{caller[4]}:{name}"


class Topics(Kind):
    """Key: the name. Body: key (of KMS, "" for none) and tags."""

    name = "topic"

    def __init__(self, owner: str) -> None:
        """`owner` is the value of the owner tag."""
        self.owner = owner

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """Topics of the account are listed; those whose names begin like ours are looked at."""
        arns = [topic["TopicArn"] for topic in pages("sns", "list_topics", "Topics", "topics")]
        named = {arn.rpartition(":")[2]: arn for arn in arns}
        found = {}
        for name, arn in named.items():
            if name in keys or (whole and name.startswith(f"{self.owner}-")):
                one = self._found(name, arn)
                if one and (name in keys or one.ours):
                    found[name] = one
        return found

    def _found(self, name: str, arn: str) -> Found | None:
        try:
            told = call("sns", "get_topic_attributes", f"topic {name}", TopicArn=arn)["Attributes"]
            tagged = call("sns", "list_tags_for_resource", f"tags of topic {name}", ResourceArn=arn)["Tags"]
        except Absent:
            return None
        tags = {tag["Key"]: tag["Value"] for tag in tagged}
        return Found({"key": told.get("KmsMasterKeyId") or "", "tags": tags}, tags.get(OWNER) == self.owner, arn)

    def create(self, key: str, body: Body) -> None:
        """One call, tags included; SNS gives the topic that is there if it is the same."""
        attributes = {"KmsMasterKeyId": body["key"]} if body["key"] else {}
        call("sns", "create_topic", f"topic {key}", Name=key, Attributes=attributes, Tags=_tags(body))

    def update(self, key: str, body: Body, found: Found) -> None:
        """Key and tags are put by themselves."""
        if body["key"] != found.body["key"]:
            told = {"AttributeName": "KmsMasterKeyId", "AttributeValue": body["key"]}
            call("sns", "set_topic_attributes", f"topic {key}", TopicArn=found.raw, **told)
        if body["tags"] != found.body["tags"]:
            call("sns", "tag_resource", f"tags of topic {key}", ResourceArn=found.raw, Tags=_tags(body))

    def delete(self, key: str, found: Found) -> None:
        """With its subscriptions."""
        call("sns", "delete_topic", f"topic {key}", TopicArn=found.raw)


class Subscriptions(Kind):
    """Mails of one topic. Key: the address, masked, for plans are shown and logged. Body: the protocol.

    Subscriptions take no tags: those of a topic of ours are ours, at another topic only the wanted ones.
    """

    name = "subscription"

    def __init__(self, arn: str, addresses: Collection[str], *, ours: bool) -> None:
        """`arn` is the topic's, `ours` whether we made it."""
        self.arn, self.ours = arn, ours
        self.addresses = {masked(address): address for address in addresses}

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """Those not confirmed are there; they cannot be taken back, and lapse."""
        try:
            told = pages("sns", "list_subscriptions_by_topic", "Subscriptions", "subscriptions", TopicArn=self.arn)
        except Absent:
            return {}
        found = {}
        for raw in (raw for raw in told if raw["Protocol"] == "email"):
            key, settled = masked(raw["Endpoint"]), raw["SubscriptionArn"] != _PENDING
            if key in keys or (whole and self.ours and settled):
                found[key] = Found({"protocol": "email"}, True, raw["SubscriptionArn"])
        return found

    def create(self, key: str, body: Body) -> None:
        """SNS sends a mail that must be answered. Again: the same subscription."""
        told = {"Protocol": body["protocol"], "Endpoint": self.addresses[key]}
        call("sns", "subscribe", f"subscription {key}", TopicArn=self.arn, **told)

    def delete(self, key: str, found: Found) -> None:
        """Well too where it is gone."""
        call("sns", "unsubscribe", f"subscription {key}", SubscriptionArn=found.raw)


def masked(address: str) -> str:
    """d***@shop.example#1a2b3c: tells addresses apart, and none to those who do not know it."""
    name, _, host = address.partition("@")
    return f"{name[:1]}***@{host}#{hashlib.sha256(address.encode()).hexdigest()[:6]}"


def _tags(body: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in body["tags"].items()]
