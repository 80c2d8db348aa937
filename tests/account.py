"""An AWS account for tests of what is provisioned: a part of the stand-in that nobody else uses, with a small lake's
tables in it; and faults to put into its calls."""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from lakehouse import aws, config, manifest, provision
from lakehouse.provision import calls

ROOT = Path(__file__).parents[1]
SERVICES = ("glue", "lakeformation", "cloudwatch", "sns", "sts")
#: A promise to put into a contract.
LATENCY = "slaProperties:\n  - {property: latency, value: 30, unit: min}\n"
ANALYST, STEWARD = (f"arn:aws:iam::123456789012:role/{name}" for name in ("analyst", "steward"))


class Account:
    """The configuration and the tables of one test, both of which it may change."""

    def __init__(self, tables: Path, lake: str) -> None:
        self.tables, self.lake = tables, lake
        self.target = config.load({"LAKEHOUSE_CONFIG": "aws"}).target
        owner = f"t{uuid.uuid4().hex[:8]}"
        self.set(owner=owner, database=f"{owner}_{{layer}}")
        self.set_access(
            readers=(
                {"principal": ANALYST, "sees": ("internal",)},
                {"principal": STEWARD, "sees": ("internal", "pii")},
            )
        )
        self.set_alarms(mail=("ann@shop.example", "bob@shop.example"))

    @property
    def owner(self) -> str:
        return self.target.owner

    def set(self, **changes: object) -> None:
        self.target = type(self.target).model_validate({**self.target.model_dump(), **changes})
        config.settings.cache_clear()

    def set_access(self, **changes: object) -> None:
        self.set(access={**self.target.access.model_dump(), **changes})

    def set_alarms(self, **changes: object) -> None:
        self.set(alarms={**self.target.alarms.model_dump(), **changes})

    def edit(self, table: str, before: str, after: str) -> None:
        """Change a contract."""
        path = self.tables / table.replace(".", "/") / "contract.odcs.yaml"
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))

    def drop(self, table: str) -> None:
        shutil.rmtree(self.tables / table.replace(".", "/"))

    def wanted(self, *parts: str):
        return provision.desired(manifest.load(), parts or provision.PARTS)

    def plan(self, *parts: str):
        return [change.to_row() for change in provision.plan(self.wanted(*parts))]

    def apply(self, **options: bool):
        return [change.to_row() for change in provision.apply(self.wanted(), **options)]

    def client(self, service: str):
        """A client that is not the library's: no fault is put into it."""
        return aws.client(service, aws.access())

    def table(self, name: str):
        layer, _, short = name.partition(".")
        return self.client("glue").get_table(DatabaseName=f"{self.owner}_{layer}", Name=short)["Table"]


@pytest.fixture
def account(s3, tmp_path, monkeypatch):
    """Customers in bronze and silver, in an account of its own."""
    tables = tmp_path / "tables"
    for name in ("bronze/customers", "silver/customers"):
        shutil.copytree(ROOT / "include" / "tables" / name, tables / name)
    # Here it reads nothing of the tables that were not copied.
    (tables / "silver/customers/transform.sql").write_text("SELECT * FROM bronze.customers\n")
    monkeypatch.setenv("LAKEHOUSE_CONFIG", "aws")
    monkeypatch.setenv("LAKEHOUSE_TABLES", str(tables))
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKEHOUSE_CACHE", str(tmp_path / "cache"))
    made = Account(tables, s3)
    load = config.load
    monkeypatch.setattr(config, "load", lambda environ=None: replace(load(environ), lake=made.lake, target=made.target))
    config.settings.cache_clear()
    yield made
    config.settings.cache_clear()


@contextmanager
def hooked(event: str, handler):
    """`handler(request or params, operation)` is called at `event` of every call the library makes."""

    def call(event_name: str, **told):
        return handler(event_name.rpartition(".")[2], told)

    events = [aws.client(service, aws.access(), **calls.SETTINGS).meta.events for service in SERVICES]
    for one in events:
        one.register(event, call, unique_id="tests")
    try:
        yield
    finally:
        for one in events:
            one.unregister(event, unique_id="tests")


class Once:
    """Each operation goes wrong the first time it is called; `failed` are those that did."""

    def __init__(self, fault) -> None:
        self.fault, self.failed = fault, []

    def __call__(self, operation: str, told):
        if operation not in self.failed:
            self.failed.append(operation)
            return self.fault(operation, told)
        return None


def denied(operation: str, told):
    """Said before anything is sent."""
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "for secret-value"}}, operation)


def throttled(operation: str, told):
    """Every protocol's way to say: slower."""
    request = told["request"]
    code = "ThrottlingException"
    xml = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"
    query = "x-www-form-urlencoded" in str(request.headers.get("Content-Type"))
    body = xml if query else f'{{"__type": "{code}"}}'
    response = AWSResponse(request.url, 400, {"x-amzn-errortype": code}, None)
    response._content = body.encode()
    return response


def lost(operation: str, told):
    """It is done, and the answer never comes."""
    request = told["request"]
    URLLib3Session().send(request)
    raise ReadTimeoutError(endpoint_url=request.url)
