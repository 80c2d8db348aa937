"""Image, compose file and settings: whatever they name exists, nothing is open to the world, no secret is in them."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from lakehouse.cli import settings as settings_cli
from lakehouse.cli import spark as spark_cli
from lakehouse.cli.main import app
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.sandbox import envfile

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("lakehouse:")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
#: Where the image holds the checkout.
APP = "/opt/lakehouse/app"
INTERPOLATED = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")
every_service = pytest.mark.parametrize("name", sorted(SERVICES))
every_one_of_ours = pytest.mark.parametrize("name", sorted(OURS))

#: Runs where airflow may be imported: its options by section, and whether it would take each command line.
ASK_AIRFLOW = """
import json, sys
from importlib import import_module
from airflow.cli.cli_parser import get_parser
from airflow.configuration import retrieve_configuration_description
from airflow.providers.openlineage.get_provider_info import get_provider_info

described = retrieve_configuration_description(include_providers=False)
options = {section: sorted(body["options"]) for section, body in described.items()}
options |= {section: sorted(body["options"]) for section, body in get_provider_info()["config"].items()}
refused = []
for argv in json.loads(sys.argv[1]):
    try:
        get_parser().parse_args(argv)
    except SystemExit:
        refused.append(argv)
print(json.dumps({"options": options, "refused": refused}))
"""


def words(service: dict[str, Any]) -> list[list[str]]:
    """Every command a service runs, the lines of its scripts included, with $$ as the shell sees it."""
    found = []
    for argv in (service.get("entrypoint"), service.get("command"), service.get("healthcheck", {}).get("test", [])[1:]):
        argv = [str(word) for word in argv or []]
        if argv[:1] == ["bash"]:
            script = argv[2].replace("$$", "$").replace("\\\n", " ")
            assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0
            found += [shlex.split(line) for line in script.splitlines() if line.strip()]
        elif argv:
            found.append(argv)
    return [line[1:] if line[0] == "exec" else line for line in found]


def commands(program: str) -> list[list[str]]:
    """Arguments of every call of `program` in containers of ours."""
    found = [line[1:] for service in OURS.values() for line in words(service) if line[0] == program]
    if program == "airflow":
        # The image's entrypoint hands a command that it does not know to Airflow.
        plain = [s["command"] for s in OURS.values() if "command" in s and "entrypoint" not in s]
        found += [argv for argv in plain if argv[0] not in ("bash", "python")]
    if program == "lakehouse":
        runs = re.findall(r"&& lakehouse ([^\n\\]+)", DOCKERFILE)
        found += [shlex.split(line) for line in runs]
    return found


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the installed Airflow says to ASK_AIRFLOW."""
    home = tmp_path_factory.mktemp("airflow")
    env = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
    argv = [sys.executable, "-c", ASK_AIRFLOW, json.dumps(commands("airflow"))]
    env |= {"AIRFLOW_HOME": str(home)}
    ran = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def environment(service: dict[str, Any]) -> dict[str, str]:
    return {key: "" if value is None else str(value) for key, value in service.get("environment", {}).items()}


def image_environment() -> dict[str, str]:
    block = re.search(r"^ENV (.+?[^\\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert block
    return dict(pair.split("=", 1) for pair in block[1].replace("\\\n", " ").split())


# The compose file


def test_compose_follows_the_specification():
    argv = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(ROOT / "docker-compose.yaml")]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_platform_is_complete():
    assert set(SERVICES) >= {
        "postgres", "minio", "mailpit", "init", "api-server", "scheduler", "dag-processor", "triggerer",
        "spark-connect", "snowflake", "web",
    }  # fmt: skip


@every_service
def test_a_long_running_service_has_a_health_check(name: str):
    service = SERVICES[name]
    if service["restart"] == "no":
        waiting = [s["depends_on"].get(name, {}) for s in SERVICES.values() if name in s.get("depends_on", {})]
        assert waiting
        assert all(wait["condition"] == "service_completed_successfully" for wait in waiting)
        return
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= service["healthcheck"].keys()


@every_service
def test_a_service_waits_for_conditions_that_can_come_true(name: str):
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        healthy = "healthcheck" in SERVICES[other]
        assert wait["condition"] == ("service_healthy" if healthy else "service_completed_successfully")


@every_service
def test_ports_are_published_on_loopback_only(name: str):
    for port in SERVICES[name].get("ports", []):
        assert isinstance(port, str)
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["scheduler", "spark-connect", "snowflake", "web"])
def test_what_speaks_on_loopback_shares_one_network(name: str):
    assert SERVICES[name]["network_mode"] == "service:pod"
    assert "ports" not in SERVICES[name]


@every_service
def test_secrets_come_from_the_environment(name: str):
    for key, value in environment(SERVICES[name]).items():
        for variable, kind, remedy in INTERPOLATED.findall(value):
            if variable != "LAKEHOUSE_UI_PORT":
                assert kind == "?", f"{variable} may be empty"
                assert "docs/docker.md" in remedy
        if re.search(r"PASSWORD$|SECRET|TOKEN|_KEY$", key):
            assert INTERPOLATED.fullmatch(value), f"{key} is written into the file"
    text = json.dumps([SERVICES[name].get("command"), SERVICES[name].get("entrypoint")])
    assert not INTERPOLATED.search(text), "an argument is seen by every process of the machine"


def test_the_recipe_makes_every_secret_that_compose_asks_for():
    recipe = (ROOT / "docs" / "docker.md").read_text()
    asked = {
        variable
        for variable, kind, _ in INTERPOLATED.findall((ROOT / "docker-compose.yaml").read_text())
        if kind == "?"
    }
    made = re.search(r"<<'EOF'\n(.*?)^EOF$", recipe, re.MULTILINE | re.DOTALL)
    assert made
    ran = subprocess.run([sys.executable, "-c", made[1]], capture_output=True, text=True, check=True)
    values = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert values.keys() == asked
    # Passwords are put into URLs as they are.
    assert all(re.fullmatch(r"[\w-]{32,}=?", value) for value in values.values())
    assert len(set(values.values())) == len(values)


def test_airflow_takes_every_command(airflow: dict[str, Any]):
    calls = commands("airflow")
    assert ["db", "migrate"] in calls
    assert {argv[0] for argv in calls} >= {"api-server", "scheduler", "dag-processor", "triggerer", "jobs"}
    assert airflow["refused"] == []


def test_airflow_has_every_option(airflow: dict[str, Any]):
    named = {key for service in OURS.values() for key in environment(service)} | image_environment().keys()
    found = [key.split("__") for key in named if key.startswith("AIRFLOW__")]
    assert len(found) > 10
    for _, section, option in found:
        assert option.lower() in airflow["options"].get(section.lower(), []), f"AIRFLOW__{section}__{option}"


def test_the_command_line_has_every_command():
    calls = commands("lakehouse")
    assert {argv[0] for argv in calls} == {"setup", "contracts", "settings", "spark"}
    for argv in calls:
        command, rest = typer.main.get_command(app), [word for word in argv if word != "-"]
        context = typer.Context(command, info_name="lakehouse")
        while hasattr(command, "get_command"):
            name = rest.pop(0)
            command = command.get_command(context, name)
            assert command is not None, f"lakehouse {' '.join(argv)}"
        command.make_context(command.name, rest)


def test_every_python_module_is_there_and_takes_its_options():
    modules = [line for service in OURS.values() for line in words(service) if line[:2] == ["python", "-m"]]
    assert modules
    for line in modules:
        shown = subprocess.run([sys.executable, *line[1:3], "--help"], capture_output=True, text=True, check=True)
        assert all(word in shown.stdout for word in line[3:] if word.startswith("--"))


def test_every_variable_of_ours_is_read_somewhere():
    source = "".join(path.read_text() for path in (ROOT / "include" / "lakehouse").rglob("*.py"))
    named = {key for service in OURS.values() for key in environment(service)} | image_environment().keys()
    named |= {variable for variable, _, _ in INTERPOLATED.findall((ROOT / "docker-compose.yaml").read_text())}
    ours = {key for key in named if key.startswith("LAKEHOUSE_")}
    assert "LAKEHOUSE_SPARK_REMOTE" in ours
    assert [key for key in sorted(ours) if key not in source] == []


@every_one_of_ours
def test_what_is_kept_is_kept_on_a_volume_that_the_image_prepares(name: str):
    mounts = dict(volume.split(":", 1) for volume in OURS[name].get("volumes", []))
    assert mounts.keys() <= COMPOSE["volumes"].keys()
    prepared = set(re.findall(r"/opt/[\w/]+", DOCKERFILE)) | {"/opt/airflow/logs"}
    assert set(mounts.values()) <= prepared
    text = json.dumps([environment(OURS[name]), OURS[name].get("command"), OURS[name].get("entrypoint")])
    for path in re.findall(r"/opt/[\w/.-]+", text):
        assert any(path.startswith(target) for target in mounts.values()), f"{path} is lost with the container"


def test_every_volume_and_config_is_used():
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert mounted == COMPOSE["volumes"].keys()
    used = {config["source"] for service in SERVICES.values() for config in service.get("configs", [])}
    assert used == COMPOSE["configs"].keys()


def test_every_connection_but_the_stand_in_is_told_its_host():
    (call,) = [argv for argv in commands("lakehouse") if argv[0] == "settings"]
    told = {word.partition(".")[0] for word in call if re.match(r"\w+\.[\w.]+=", word)}
    declared = yaml.safe_load((ROOT / "airflow_settings.yaml").read_text())["airflow"]["connections"]
    assert told == {entry["conn_id"] for entry in declared}


# The image


def test_the_image_is_airflow_of_the_lock_and_not_root():
    base = re.search(r"^FROM apache/airflow:(\S+)-python3\.11$", DOCKERFILE, re.MULTILINE)
    assert base
    assert f"apache-airflow=={base[1]}\n" in (ROOT / "requirements.txt").read_text()
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)[-1] == "airflow"


def test_the_image_copies_what_exists_and_the_context_lets_it_through():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    let_through = {line[1:] for line in ignored if line.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?:--\S+ )*(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= set(line.split()[:-1])
    assert copied == let_through
    assert all((ROOT / path).exists() for path in copied)


def test_folders_that_the_image_names_are_in_it():
    assert f"WORKDIR {APP}\n" in DOCKERFILE
    for key, value in image_environment().items():
        if value.startswith(f"{APP}/"):
            assert (ROOT / value.removeprefix(f"{APP}/")).is_dir(), key
    prepared = re.findall(r"/opt/lakehouse/\w+", DOCKERFILE)
    assert {image_environment()["LAKEHOUSE_HOME"], image_environment()["LAKEHOUSE_CACHE"]} <= set(prepared)


def test_the_library_is_installed_where_it_finds_its_configuration():
    # Elsewhere `lakehouse.config.PROJECT` would be a folder of the Python installation.
    assert "--no-deps --editable ." in DOCKERFILE
    assert "--no-deps -r requirements.txt" in DOCKERFILE


def test_packages_are_names_alone():
    lines = (ROOT / "packages.txt").read_text().splitlines()
    assert "openjdk-17-jre-headless" in lines
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line) for line in lines)


# No registry host in any file


@pytest.mark.parametrize(
    "image", [*(s["image"] for s in SERVICES.values()), *re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)]
)
def test_an_image_names_no_host_and_a_version(image: str):
    name, _, tag = image.partition(":")
    assert tag
    assert tag != "latest"
    assert "." not in name.split("/")[0]


# airflow_settings.yaml: the Astro CLI skips in silence what it does not know


SHAPE: dict[str, dict[str, tuple[type, ...]]] = {
    "connections": {
        "conn_id": (str,), "conn_type": (str,), "conn_host": (str,), "conn_schema": (str,), "conn_login": (str,),
        "conn_password": (str,), "conn_port": (int,), "conn_uri": (str,), "conn_extra": (dict, str),
    },
    "pools": {"pool_name": (str,), "pool_slot": (int,), "pool_description": (str,)},
    "variables": {"variable_name": (str,), "variable_value": (str,)},
}  # fmt: skip


def test_settings_have_the_exact_keys_and_types():
    raw = yaml.safe_load((ROOT / "airflow_settings.yaml").read_text())
    assert raw.keys() == {"airflow"}
    assert raw["airflow"].keys() == SHAPE.keys()
    for kind, shape in SHAPE.items():
        for entry in raw["airflow"][kind]:
            assert entry.keys() <= shape.keys(), entry
            for key, value in entry.items():
                assert type(value) in shape[key], f"{key} of {entry}"
        names = [entry[next(iter(shape))] for entry in raw["airflow"][kind]]
        assert len(names) == len(set(names))


def test_settings_hold_no_secret():
    for entry in yaml.safe_load((ROOT / "airflow_settings.yaml").read_text())["airflow"]["connections"]:
        # The AWS client insists on some key; the stand-in takes any.
        assert entry.get("conn_password", "sandbox") == "sandbox"


def test_settings_become_files_for_airflows_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_SECRET", "123")
    settings_cli.export(
        tmp_path / "out",
        ["redshift_default.host=db", "redshift_default.port=5432", "aws_default.extra.verify=false"],
        ["pii_key.password=SOME_SECRET"],
    )
    connections = json.loads((tmp_path / "out" / "connections.json").read_text())
    assert (connections["redshift_default"]["host"], connections["redshift_default"]["port"]) == ("db", 5432)
    assert connections["redshift_default"]["schema"] == "shop"
    assert connections["aws_default"]["extra"] == {
        "region_name": "eu-west-1", "endpoint_url": "http://127.0.0.1:5000", "verify": False,
    }  # fmt: skip
    assert connections["pii_key"]["password"] == "123"
    pools = json.loads((tmp_path / "out" / "pools.json").read_text())
    assert pools["spark"]["slots"] == 2
    assert json.loads((tmp_path / "out" / "variables.json").read_text()) == {}
    told = json.loads(envfile.read(tmp_path / "out" / "env")["AIRFLOW_CONN_PII_KEY"])
    assert told["password"] == "123"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("sets", "variables", "says"),
    [
        (["pii_key.password"], [], "form"),
        (["nobody.host=x"], [], "no connection 'nobody'"),
        (["pii_key.passwort=hush"], [], "no field"),
        (["pii_key.extra=hush"], [], "no field"),
        (["redshift_default.port=hush"], [], "not a number"),
        ([], ["pii_key.password=NOT_SET_ANYWHERE"], "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_a_wrong_override_is_refused_without_its_value(
    tmp_path: Path, sets: list[str], variables: list[str], says: str
):
    with pytest.raises(LakehouseError, match=says) as refused:
        settings_cli.export(tmp_path / "out", sets, variables)
    assert "hush" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "remote", ["", "sc://localhost:15002/", "sc://example.net:15002/;token=hush", "http://localhost/;token=hush"]
)
def test_a_server_without_token_or_beyond_loopback_is_refused(remote: str):
    with pytest.raises(ConfigError) as refused:
        spark_cli._endpoint(remote)
    assert "hush" not in str(refused.value)


def test_a_server_serves_what_its_clients_are_told():
    assert spark_cli._endpoint("sc://localhost:1234/;token=a-b_c") == (1234, "a-b_c")
    (remote,) = {
        environment(s)["LAKEHOUSE_SPARK_REMOTE"] for s in OURS.values() if "LAKEHOUSE_SPARK_REMOTE" in environment(s)
    }
    assert spark_cli._endpoint(INTERPOLATED.sub("x", remote)) == (15002, "x")
