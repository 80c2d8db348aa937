"""The files of the sandbox: environment, secrets, state, and the project's airflow_settings.yaml."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from lakehouse.errors import ConfigError
from lakehouse.sandbox import credentials, declared, envfile, kafka
from lakehouse.sandbox.errors import SandboxBroken
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.state import Record, StateFile

AWKWARD = {"A": "", "B": "x y", "C": '{"k": "it\'s $HOME"}', "D": "a=b#c", "E": "ü\\n", "F": "`id`"}


def test_env_file_round_trip(tmp_path: Path):
    envfile.write(tmp_path / "env", AWKWARD)
    assert envfile.read(tmp_path / "env") == AWKWARD
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_a_shell_reads_the_env_file_as_we_do(tmp_path: Path):
    envfile.write(tmp_path / "env", AWKWARD)
    script = "set -a; . ./env; set +a; exec env -0"
    out = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    seen = dict(entry.split("=", 1) for entry in out.split("\0") if entry)
    assert {key: seen[key] for key in AWKWARD} == AWKWARD


def test_env_file_refuses_what_it_cannot_keep(tmp_path: Path):
    with pytest.raises(SandboxBroken, match="value of K spans"):
        envfile.write(tmp_path / "env", {"K": "a\nb"})
    (tmp_path / "env").write_text("GOOD=1\nnot a line\n")
    with pytest.raises(SandboxBroken, match="line 2"):
        envfile.read(tmp_path / "env")


def test_no_env_file_is_an_empty_environment(tmp_path: Path):
    assert envfile.read(tmp_path / "env") == {}


def test_secrets_are_made_once_and_never_shown(tmp_path: Path):
    first = credentials.load(tmp_path)
    assert credentials.load(tmp_path) == first
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert first.spark not in repr(first)
    assert credentials.load(_other(tmp_path)) != first


def test_a_secret_added_later_leaves_the_others(tmp_path: Path):
    first = credentials.load(tmp_path)
    file = tmp_path / "secrets.json"
    kept = {key: value for key, value in json.loads(file.read_text()).items() if key != "smtp"}
    file.write_text(json.dumps(kept))
    again = credentials.load(tmp_path)
    assert again.pii == first.pii
    assert again.smtp != first.smtp


def test_state_round_trip(tmp_path: Path):
    file = StateFile(tmp_path)
    record = Record("moto", 12, 3.5, 20001, "abc")

    def change(state):
        state.ports["moto"] = 20001
        state.services["moto"] = record

    file.change(change)
    loaded = StateFile(tmp_path).load()
    assert loaded.ports == {"moto": 20001}
    assert loaded.services == {"moto": record}
    assert [p.name for p in tmp_path.iterdir()] == ["state.json"]


def test_a_damaged_state_file_is_an_error_with_a_remedy(tmp_path: Path):
    (tmp_path / "state.json").write_text('{"ports": {}')
    with pytest.raises(SandboxBroken, match="cannot be read"):
        StateFile(tmp_path).load()


def test_two_commands_at_once_are_refused(tmp_path: Path):
    with StateFile(tmp_path).locked(), pytest.raises(SandboxBroken, match="Another command"):
        StateFile(tmp_path).locked().__enter__()
    with StateFile(tmp_path).locked():
        pass


def test_the_folders_are_private(tmp_path: Path):
    layout = Layout(tmp_path / "deep" / "home")
    layout.make()
    layout.make()
    assert stat.S_IMODE(layout.sandbox.stat().st_mode) == 0o711
    for folder in (layout.mail, layout.snowflake, layout.spark, layout.airflow):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_projects_settings_hold_what_the_platform_needs():
    found = declared.read()
    assert set(found.connections) == {
        "snowflake_default", "redshift_default", "aws_default", "spark_default", "smtp_default", "pii_key",
        "salesforce_default", "fx_api", "kafka_default",
    }  # fmt: skip
    assert {pool.name: pool.slots for pool in found.pools} == {
        "snowflake": 2, "redshift": 2, "files": 2, "salesforce": 1, "http": 2, "kafka": 2, "spark": 2,
    }  # fmt: skip


def test_served_endpoints_are_filled_in():
    served = {"aws_default": declared.Endpoint(extra={"endpoint_url": "http://127.0.0.1:1"}),
              "redshift_default": declared.Endpoint("127.0.0.1", 2, "u", "p")}  # fmt: skip
    env = declared.read().environment(served)
    aws = json.loads(env["AIRFLOW_CONN_AWS_DEFAULT"])
    assert aws["extra"] == {"region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:1"}
    redshift = json.loads(env["AIRFLOW_CONN_REDSHIFT_DEFAULT"])
    assert (redshift["host"], redshift["port"], redshift["login"], redshift["password"]) == ("127.0.0.1", 2, "u", "p")
    assert redshift["schema"] == "shop"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("airflow: {connections: [{conn_id: a, conn_type: b, con_host: c}]}", "con_host"),
        ("airflow: {pools: [{pool_name: a}]}", "pool_slot"),
        ("airflow: {connections: [{conn_id: a}]}", "conn_type"),
        ("something: else", "airflow"),
        ("airflow: [", "not YAML"),
    ],
)
def test_a_misspelt_settings_file_is_refused(tmp_path: Path, text: str, says: str):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        declared.read(tmp_path / "s.yaml")


def _other(folder: Path) -> Path:
    other = folder / "other"
    other.mkdir()
    return other


def test_no_cluster_id_looks_like_an_option(monkeypatch):
    drawn = iter([UUID(bytes=b"\xf8" + bytes(15)), UUID(bytes=b"\x04" + bytes(15))])
    monkeypatch.setattr(kafka, "uuid4", lambda: next(drawn))
    assert kafka._cluster_id() == "BAAAAAAAAAAAAAAAAAAAAA"
