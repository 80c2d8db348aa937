"""The stores that tables lie on, for tests: a folder, and a bucket of the AWS stand-in; conftest files plug them in."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid

import pytest

BUCKET = "lake-tests"
STORES = ("disk", "s3")


@pytest.fixture(scope="session")
def aws_endpoint(tmp_path_factory):
    """Address of a server that is there as long as the tests; it has the bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("aws") / "server.log"
    argv = [sys.executable, "-m", "lakehouse.sandbox.aws_server", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        server = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.1)
        endpoint = f"http://127.0.0.1:{port}"
        import boto3

        options = {"region_name": "eu-west-1", "aws_access_key_id": "test", "aws_secret_access_key": "test-secret"}
        client = boto3.client("s3", endpoint_url=endpoint, **options)
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield endpoint
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def aws_connection(endpoint):
    """The connection aws_default as Airflow's JSON."""
    extra = {"endpoint_url": endpoint, "region_name": "eu-west-1"}
    return json.dumps({"conn_type": "aws", "login": "test", "password": "test-secret", "extra": extra})


@pytest.fixture
def s3(aws_endpoint, monkeypatch):
    """A prefix of its own in the bucket, reached by the connection aws_default."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", aws_connection(aws_endpoint))
    return f"s3a://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=STORES)
def root(request, tmp_path):
    """An empty place on each kind of store, whose name needs escaping."""
    return f"{request.getfixturevalue('s3') if request.param == 's3' else tmp_path}/my lake% ü"
