"""Every stand-in of the sandbox by its real client, without Airflow; and that `down` leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
from email import message_from_bytes, policy
from pathlib import Path

import psutil
import pytest

from lakehouse import connections
from lakehouse.config import settings
from lakehouse.sandbox import envfile, processes, stack

pytestmark = pytest.mark.integration


def quiet(name: str, what: str) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    patch = pytest.MonkeyPatch()
    # A path no socket file could have.
    folder = tmp_path_factory.mktemp("sandbox") / ("deep and long " * 8).strip()
    patch.setenv("LAKEHOUSE_HOME", str(folder))
    patch.delenv("LAKEHOUSE_UI_PORT", raising=False)
    for name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
        patch.delenv(name)
    settings.cache_clear()
    try:
        stack.up(False, quiet)
        yield folder
    finally:
        stack.down(quiet)
        data = folder / "sandbox" / "postgres"
        if data.is_symlink():  # Root's temporary folders are closed to others, so the data went to /var/tmp.
            shutil.rmtree(data.resolve().parent)
        patch.undo()
        settings.cache_clear()


def test_a_second_up_changes_nothing(home: Path):
    before = {service.name: service.pid for service in stack.status()}
    said: dict[str, str] = {}
    stack.up(False, said.__setitem__)
    assert {service.name: service.pid for service in stack.status()} == before
    assert set(said.values()) == {"already running"}
    assert all(service.running for service in stack.status())


def test_snowflake_fetches_arrow(home: Path):
    with connections.open_snowflake(connections.get("snowflake_default")) as opened, opened.cursor() as cursor:
        cursor.execute("create or replace table arrow_try (id int, name varchar)")
        cursor.execute("insert into arrow_try values (%s, %s), (%s, %s)", (1, "a", 2, None))
        table = cursor.execute("select * from arrow_try order by id").fetch_arrow_all()
    assert table.to_pydict() == {"ID": [1, 2], "NAME": ["a", None]}


def test_snowflake_wants_its_password(home: Path):
    from dataclasses import replace

    stranger = replace(connections.get("snowflake_default"), password="guess")
    with pytest.raises(connections.ConnectionRefused, match="refused the login"):
        connections.open_snowflake(stranger)


def test_redshift_and_its_password(home: Path):
    from dataclasses import replace

    known = connections.get("redshift_default")
    with connections.open_postgres(known) as opened, opened.cursor() as cursor:
        cursor.execute("select current_database(), %s::text", ("bound",))
        assert cursor.fetchone() == ("shop", "bound")
    opened.close()
    with pytest.raises(connections.ConnectionRefused, match="refused the login"):
        connections.open_postgres(replace(known, password="guess"))


def test_amazon(home: Path):
    import boto3

    conn = connections.get("aws_default")
    s3 = boto3.client("s3", aws_access_key_id=conn.login, aws_secret_access_key=conn.password, **dict(conn.extra))
    s3.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="lake", Key="k", Body=b"v", IfNoneMatch="*")
    with pytest.raises(s3.exceptions.ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket="lake", Key="k", Body=b"w", IfNoneMatch="*")
    assert s3.get_object(Bucket="lake", Key="k")["Body"].read() == b"v"


def test_mail_lands_as_eml(home: Path):
    conn = connections.get("smtp_default")
    with smtplib.SMTP(conn.host, conn.port) as client:
        with pytest.raises(smtplib.SMTPException):
            client.sendmail("a@example.com", ["b@example.com"], "Subject: stranger\r\n\r\nx")
        client.login(conn.login, conn.password)
        client.sendmail("a@example.com", ["b@example.com"], "Subject: late\r\n\r\nby 5 minutes")
    mails = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in home.glob("sandbox/mail/*.eml")]
    assert [(mail["subject"], mail.get_content().strip()) for mail in mails] == [("late", "by 5 minutes")]


def test_salesforce_and_its_faults(home: Path):
    import httpx
    from simple_salesforce.exceptions import SalesforceRefusedRequest

    conn = connections.get("salesforce_default")
    client = connections.open_client(conn)
    asked = "SELECT Id FROM Account WHERE SystemModstamp > 2025-10-01T00:00:00Z"
    assert client.query(asked)["totalSize"] == 0
    faults = f"{conn.extra['endpoint_url']}/_faults"
    assert httpx.put(faults, json={}, headers={"X-Password": "guess"}).status_code == 401
    assert httpx.put(faults, json={"rain": 1}, headers={"X-Password": conn.password}).status_code == 400
    wish = {"turn_away": 1, "status": 403}
    assert httpx.put(faults, json=wish, headers={"X-Password": conn.password}).status_code == 200
    with pytest.raises(SalesforceRefusedRequest, match="REQUEST_LIMIT_EXCEEDED"):
        client.query(asked)
    assert client.query(asked)["done"]
    client.close()


def test_exchange_rates_want_their_key(home: Path):
    from dataclasses import replace

    known = connections.get("fx_api")
    asked = {"base": "EUR", "after": "2025-10-01T00:00:00Z", "until": "2025-10-02T00:00:00Z"}
    with connections.open_http(known) as client:
        assert client.get("/fx/v1/rates", params=asked).json() == {"data": {"rates": []}, "meta": {"next": None}}
    with connections.open_http(replace(known, password="guess")) as client:
        assert client.get("/fx/v1/rates", params=asked).status_code == 401


def test_spark(home: Path):
    from pyspark.sql import SparkSession

    env = envfile.read(envfile.path(home))
    session = SparkSession.builder.remote(env["LAKEHOUSE_SPARK_REMOTE"]).create()
    try:
        assert session.range(5).count() == 5
    finally:
        session.stop()


def test_every_server_listens_on_loopback_only(home: Path):
    listening = set()
    for service in stack.status():
        leader = psutil.Process(service.pid)
        for process in (leader, *leader.children(recursive=True)):
            listening |= {c.laddr.ip for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


def test_data_survives_down_and_up_and_ports_stay(home: Path):
    with connections.open_snowflake(connections.get("snowflake_default")) as opened, opened.cursor() as cursor:
        cursor.execute("create or replace table kept (id int, made_at timestamp_ntz)")
        cursor.execute("insert into kept values (7, '2026-01-01 00:00:00')")
    with connections.open_postgres(connections.get("redshift_default")) as opened, opened.cursor() as cursor:
        cursor.execute("create table kept as select 8 as id")
    opened.close()
    ports = {service.name: service.port for service in stack.status()}
    secrets = (home / "sandbox" / "secrets.json").read_text()

    assert stack.down(quiet) == len(ports)
    assert of_home(home) == []
    assert stack.status() == []
    stack.up(False, quiet)

    assert {service.name: service.port for service in stack.status()} == ports
    assert (home / "sandbox" / "secrets.json").read_text() == secrets
    with connections.open_snowflake(connections.get("snowflake_default")) as opened, opened.cursor() as cursor:
        assert cursor.execute("select id, year(made_at) from kept").fetchall() == [(7, 2026)]
        # The engine keeps what it needs of a database it did not create itself in this process.
        assert cursor.execute("select table_name from information_schema.tables where table_name = 'KEPT'").fetchall()
    with connections.open_postgres(connections.get("redshift_default")) as opened, opened.cursor() as cursor:
        cursor.execute("select id from kept")
        assert cursor.fetchone() == (8,)
    opened.close()


def test_a_killed_service_is_started_again_and_the_others_stay(home: Path):
    before = {service.name: service.pid for service in stack.status()}
    psutil.Process(before["moto"]).kill()
    psutil.wait_procs([psutil.Process(before["moto"])] if psutil.pid_exists(before["moto"]) else [], timeout=5)
    assert not next(service for service in stack.status() if service.name == "moto").running
    stack.up(False, quiet)
    after = {service.name: service.pid for service in stack.status()}
    assert {name for name in before if before[name] != after[name]} == {"moto"}


def test_a_ui_port_that_is_taken_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch):
    from lakehouse.sandbox.errors import PortTaken

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("LAKEHOUSE_UI_PORT", str(taken.getsockname()[1]))
        with pytest.raises(PortTaken, match="LAKEHOUSE_UI_PORT"):
            stack.up(True, quiet)


def of_home(home: Path) -> list[psutil.Process]:
    """Whatever still runs with this home in its command line or environment, this test aside."""
    found = processes._marked(home / "sandbox")
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(str(home) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if not processes._over(process)]
