"""What of provisioning needs no account: merging, types, names of errors, alarms, and the script's door."""

from __future__ import annotations

import runpy
import shlex
from pathlib import Path

import pytest

from lakehouse import config, sections
from lakehouse.errors import ConfigError
from lakehouse.provision import calls
from lakehouse.provision.catalog import hive_type
from lakehouse.provision.kinds import merged
from lakehouse.provision.sns import masked
from tests.unit.test_requirements_doc import problem

ROOT = Path(__file__).parents[2]


def test_what_others_put_there_is_kept_and_what_is_ours_is_written():
    live = {"a": {"ours": 1, "theirs": 2}, "list": [1, 2], "theirs": 3}
    assert merged(live, {"a": {"ours": 9}, "list": [1]}) == {"a": {"ours": 9, "theirs": 2}, "list": [1], "theirs": 3}
    assert list(merged({"b": 1, "z": 1}, {"a": 1, "b": 1})) == ["a", "b", "z"]


@pytest.mark.parametrize(
    ("sql", "hive"),
    [("BIGINT", "bigint"), ("DECIMAL(18, 2)", "decimal(18,2)"), ("ARRAY<STRING>", "array<string>")],
)
def test_types(sql: str, hive: str):
    assert hive_type(sql) == hive


@pytest.mark.parametrize(
    ("code", "status", "kind", "remedy"),
    [
        ("AccessDeniedException", 400, calls.AwsRefused, "the right glue:CreateTable"),
        ("ExpiredTokenException", 400, calls.AwsRefused, "Renew the credentials"),
        ("ThrottlingException", 400, calls.AwsUnavailable, "Wait a little"),
        ("TooManyRequestsException", 400, calls.AwsUnavailable, "Wait a little"),
        ("InternalServiceException", 500, calls.AwsUnavailable, "Wait a little"),
        ("AlreadyExistsException", 400, calls.Raced, "Do it again"),
        ("EntityNotFoundException", 400, calls.Absent, "was missing"),
        ("ValidationException", 400, calls.AwsFailed, "Mend"),
    ],
)
def test_an_error_is_named_with_its_remedy(code, status, kind, remedy):
    error = calls._named("glue", "create_table", "table a.b", code, status)
    assert type(error) is kind
    assert (error.what, error.code) == (f"glue.create_table for table a.b failed: {code}.", code)
    assert remedy in error.remedy


def test_an_address_is_told_apart_and_not_told():
    assert masked("ann@shop.example") != masked("abe@shop.example")
    assert "ann" not in masked("ann@shop.example")


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A configuration made of aws.yaml with one text replaced."""
    text = (ROOT / "include" / "config" / "aws.yaml").read_text()
    folder = tmp_path / "include" / "config"
    folder.mkdir(parents=True)
    monkeypatch.setattr(config, "PROJECT", tmp_path)

    def write(before: str, after: str) -> config.Settings:
        assert before in text
        (folder / "aws.yaml").write_text(text.replace(before, after, 1))
        return config.load({"LAKEHOUSE_CONFIG": "aws"})

    return write


def test_both_configurations_are_read():
    local, cloud = (config.load({"LAKEHOUSE_CONFIG": name}) for name in ("local", "aws"))
    assert (local.target, [sink.kind for sink in local.metrics.sinks]) == (None, ["jsonl"])
    assert local.metrics.sinks[0].path.startswith(str(local.home))
    assert cloud.target is not None
    assert (cloud.watermark_store, cloud.watermark_location) == ("ssm", "/etl/watermarks")
    assert cloud.metrics.price.usd(3600) == pytest.approx(8 * 0.052624 + 32 * 0.0057785)


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("owner: lakehouse", "owner: The Lake", "aws.owner"),
        ("latency_seconds: 7200", "latency_secs: 7200", "aws.alarms.latency_secs"),
        ("latency_seconds: 7200", "latency_seconds: -1", "aws.alarms.latency_seconds"),
        ("{kind: cloudwatch}", "{kind: graphite}", "metrics.sinks.0.kind"),
        ("lakehouse_{layer}", "lakehouse", "aws.database"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(written, before: str, after: str, key: str):
    with pytest.raises(ConfigError, match=rf"aws\.yaml: {key}: "):
        written(before, after)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ([], ["aws", "apply", "--only", "alarms", "--output", "table"]),
        (["--dry-run", "--output", "json"], ["aws", "plan", "--only", "alarms", "--output", "json"]),
        (["--remove"], ["aws", "apply", "--only", "alarms", "--output", "table", "--remove", "--yes"]),
    ],
)
def test_the_script_is_the_command_by_another_name(typed: list[str], meant: list[str]):
    arguments = runpy.run_path(str(ROOT / "scripts" / "aws" / "create_cloudwatch_alarms.py"))["arguments"]
    assert arguments(typed) == meant
    assert not problem(shlex.join(["lakehouse", *meant]))


def test_the_page_tells_every_key():
    page = (ROOT / "docs" / "deploy.md").read_text()
    for section, model in {
        "aws": sections.Target,
        "aws.access": sections.Access,
        "aws.alarms": sections.Alarms,
        "metrics": sections.MetricsSettings,
    }.items():
        for name in model.model_fields:
            assert f"`{section}.{name}" in page, f"{section}.{name}"
