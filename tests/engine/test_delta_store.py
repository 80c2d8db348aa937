"""One store, two kinds: the same promises on disk and on S3."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from boto3.s3.transfer import S3Transfer

from lakehouse import aws
from lakehouse.delta import StoreUnsupported, store
from lakehouse.delta.store import s3 as s3_store


def test_one_path_has_one_spelling(tmp_path):
    assert {store.canonical(p) for p in ("s3://b/a//c d/", "s3a://b/a/c d", "s3n://b/a/c d")} == {"s3a://b/a/c d"}
    assert {store.canonical(p) for p in ("/a//c d/", "file:/a/c%20d", "file:///a/c%20d")} == {"/a/c d"}
    for path in ("gs://b/a", "abfss://x@y/z", "s3://", "s3://b/my%20lake", "/my%20lake", "file:/my%2520lake"):
        with pytest.raises(StoreUnsupported):
            store.canonical(path)


@pytest.mark.parametrize("table", ["/my lake%/ü/t", "s3a://bucket/my lake%/ü/t"])
def test_addresses_are_told_back(table):
    """As Spark and as others escape them."""
    for inside in ("p=a%2520b/%C3%A9.parquet", "p=x%252Fy%253Dz/f.parquet", "f.parquet"):
        assert store.relative(table, f"{store.uri(table)}/{inside}") == inside
    assert store.relative(table, store.uri(table)) is None
    assert store.relative(table, f"{store.uri(table)}2/f.parquet") is None
    assert store.relative(table, "s3a://other/my%20lake%25/%C3%BC/t/f") is None


def test_spellings_of_the_same_address():
    assert store.relative("s3a://b/a=b/t", "s3://b/a%3Db/t/f") == "f"
    assert store.relative("/a=b/t", "file:///a%3Db/t/f") == "f"
    assert store.relative("/a/t", "s3a:///a/t/f") is None


def test_files_come_and_go(root):
    folder = f"{root}/x %20 y"
    assert (store.names(folder), list(store.walk(folder)), store.exists(f"{folder}/a")) == ([], [], False)
    with pytest.raises(FileNotFoundError):
        store.read(f"{folder}/a")
    store.delete(f"{folder}/a")
    store.replace(f"{folder}/a", b"1")
    store.replace(f"{folder}/a", b"22")
    store.replace(f"{folder}/p=ü%25 +/b", b"333")
    store.replace(f"{root}/x %20 y2/c", b"")
    assert store.read(f"{folder}/a") == b"22"
    assert sorted(store.names(folder)) == ["a", "p=ü%25 +"]
    assert sorted((f.name, f.size) for f in store.walk(folder)) == [("a", 2), ("p=ü%25 +/b", 3)]
    assert all(abs(f.modified - time.time()) < 60 for f in store.walk(folder))
    store.delete(f"{folder}/a")
    assert not store.exists(f"{folder}/a")
    store.remove_tree(folder)
    store.remove_tree(folder)
    assert store.names(folder) == []
    assert store.exists(f"{root}/x %20 y2/c")


def test_a_draft_is_there_whole_or_not_at_all(root):
    """Whoever writes it writes a local file; a large one is as good."""
    for name, content in (("d/a.parquet", b"1"), ("d/a.parquet", b"22"), ("d/large %41", random.randbytes(20 << 20))):
        with store.draft(f"{root}/{name}") as made:
            made.write_bytes(content)
            assert name.endswith("a.parquet") or not store.exists(f"{root}/{name}")
        assert store.read(f"{root}/{name}") == content
    with pytest.raises(ZeroDivisionError), store.draft(f"{root}/d/never") as made:
        made.write_bytes(b"half")
        raise ZeroDivisionError
    assert sorted(store.names(f"{root}/d")) == ["a.parquet", "large %41"]
    assert not made.exists()


def test_a_file_is_read_where_it_is_sought_in(root):
    with pytest.raises(FileNotFoundError):
        store.opened(f"{root}/d/p=ü%25 +")
    store.replace(f"{root}/d/p=ü%25 +", bytes(range(200)))
    with store.opened(f"{root}/d/p=ü%25 +") as file:
        assert file.size() == 200
        file.seek(120)
        assert file.read(3) == bytes((120, 121, 122))


class Deadly:
    """A client that kills its process when it is to upload the third part of an object."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return getattr(self.client, name)

    def upload_file(self, *told):
        S3Transfer(self).upload_file(*told)

    def upload_part(self, **asked):
        if asked["PartNumber"] == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.client.upload_part(**asked)


def _upload(path):
    deadly = Deadly(s3_store._client())
    s3_store._client = lambda: deadly
    with store.draft(path) as made:
        made.write_bytes(bytes(30 << 20))


def test_a_large_upload_that_breaks_off_leaves_no_file(s3):
    """Its first parts are there, and nobody sees them; the next one is whole."""
    killed = multiprocessing.get_context("fork").Process(target=_upload, args=(f"{s3}/large",))
    killed.start()
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    assert (store.names(s3), store.exists(f"{s3}/large")) == ([], False)
    with store.draft(f"{s3}/large") as made:
        made.write_bytes(bytes(30 << 20))
    assert [file.size for file in store.walk(s3)] == [30 << 20]


def test_an_upload_that_is_refused_is_told(s3):
    with pytest.raises(s3_store.StoreUnavailable, match="aws_default") as told, store.draft("s3a://nowhere/a") as made:
        made.write_bytes(b"1")
    assert "test-secret" not in str(told.value)


@pytest.mark.long(9)
def test_more_files_than_one_answer_holds(s3):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.replace(f"{s3}/many/{n:04}", b""), range(1001)))
    assert len(store.names(f"{s3}/many")) == 1001
    store.remove_tree(f"{s3}/many")
    assert store.names(f"{s3}/many") == []


def test_one_of_many_writers_wins(root):
    for n in range(20):
        target = f"{root}/log/{n}"
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda k: store.put_if_absent(target, b"%d" % k * 1000), range(8)))  # noqa: B023
        assert won.count(True) == 1
        assert store.read(target) == b"%d" % won.index(True) * 1000
    assert len(store.names(f"{root}/log")) == 20


def _write_all(root, writer, barrier, results):
    won = []
    for n in range(40):
        barrier.wait(60)
        if store.put_if_absent(f"{root}/race/{n}", b"%d" % writer):
            won.append(n)
    results.put(won)


def test_one_of_several_processes_wins(root):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(3), context.Queue()
    writers = [context.Process(target=_write_all, args=(root, n, barrier, results)) for n in range(3)]
    for writer in writers:
        writer.start()
    won = sorted(n for _ in writers for n in results.get(timeout=120))
    for writer in writers:
        writer.join(60)
    assert won == list(range(40))


class Flaky:
    """A client whose conditional PUTs end as `outcomes` say, before or after they are done."""

    def __init__(self, client, outcomes):
        self.client, self.outcomes, self.puts = client, list(outcomes), 0

    def __getattr__(self, name):
        return getattr(self.client, name)

    def put_object(self, **asked):
        from botocore.exceptions import ClientError, ReadTimeoutError

        self.puts += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome in ("lost answer", "500 after"):
            self.client.put_object(**asked)
        if outcome and "lost" in outcome:
            raise ReadTimeoutError(endpoint_url="x")
        if outcome:
            raise ClientError(
                {"Error": {"Code": outcome}, "ResponseMetadata": {"HTTPStatusCode": int(outcome[:3])}}, "P"
            )
        return self.client.put_object(**asked)


@pytest.mark.parametrize(
    "outcomes", [["409"], ["409", "409"], ["lost before"], ["lost answer"], ["500 after"], ["503"]]
)
def test_an_unclear_answer_is_made_clear(s3, monkeypatch, outcomes):
    flaky = Flaky(s3_store._client(), outcomes)
    monkeypatch.setattr(s3_store, "_client", lambda **settings: flaky)
    assert store.put_if_absent(f"{s3}/a", b"mine") is True
    assert store.read(f"{s3}/a") == b"mine"
    assert flaky.puts == len(outcomes) + 1


@pytest.mark.parametrize("outcomes", [[], ["409"], ["lost before"]])
def test_another_ones_file_is_never_taken_for_ours(s3, monkeypatch, outcomes):
    flaky = Flaky(s3_store._client(), outcomes)
    monkeypatch.setattr(s3_store, "_client", lambda **settings: flaky)
    flaky.client.put_object(Bucket=s3.split("/")[2], Key=f"{s3.split('/')[3]}/a", Body=b"theirs")
    assert store.put_if_absent(f"{s3}/a", b"mine") is False


@pytest.mark.parametrize(
    "asked",
    [
        store.names,
        lambda folder: list(store.walk(folder)),
        lambda folder: store.replace(f"{folder}/a", b"1"),
        lambda folder: store.delete(f"{folder}/a"),
        store.remove_tree,
    ],
    ids=["names", "walk", "replace", "delete", "remove"],
)
def test_a_bucket_that_is_not_there_is_told(s3, asked):
    with pytest.raises(s3_store.StoreUnavailable, match="aws_default"):
        asked("s3a://nowhere/a")


@pytest.mark.parametrize("asked", [store.names, store.exists, store.read, lambda path: store.replace(path, b"1")])
def test_an_endpoint_that_does_not_answer_is_told(s3, monkeypatch, asked):
    from botocore.exceptions import EndpointConnectionError

    def gone(**settings):
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    monkeypatch.setattr(s3_store, "_client", gone)
    with pytest.raises(s3_store.StoreUnavailable, match="aws_default"):
        asked(f"{s3}/a")


@pytest.mark.parametrize("outcomes", [["403"], ["409"] * 8])
def test_a_store_that_refuses_is_told(s3, monkeypatch, outcomes):
    flaky = Flaky(s3_store._client(), outcomes)
    monkeypatch.setattr(s3_store, "_client", lambda **settings: flaky)
    monkeypatch.setattr(s3_store.time, "sleep", lambda seconds: None)
    with pytest.raises(s3_store.StoreUnavailable, match="aws_default"):
        store.put_if_absent(f"{s3}/a", b"mine")


def test_old_empty_folders_are_pruned(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "f").touch()
    store.prune(str(tmp_path), before=datetime(2020, 1, 1, tzinfo=UTC).timestamp())
    assert (tmp_path / "a" / "b").exists()
    store.prune(str(tmp_path / "a"), before=time.time() + 60)
    store.prune(str(tmp_path / "c"), before=time.time() + 60)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_secrets_show_nowhere(s3):
    known = aws.access()
    assert known.secret == "test-secret"
    assert "test" not in repr(known).replace("eu-west-1", "")


def test_without_a_connection_the_environment_speaks(monkeypatch, tmp_path):
    from lakehouse.config import settings

    monkeypatch.delenv("AIRFLOW_CONN_AWS_DEFAULT", raising=False)
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    settings.cache_clear()
    try:
        address, options = store.delta_rs("s3://b/my lake")
    finally:
        settings.cache_clear()
    assert address == "s3://b/my%20lake"
    assert options == {
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true",
        "conditional_put": "etag",
    }
