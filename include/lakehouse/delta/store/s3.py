"""The store on S3: atomic by conditional PUT, strongly consistent. Use it through `lakehouse.delta.store`.

S3 knows no folders, links or renames: a folder is a prefix, and whatever has to be atomic is one PUT.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lakehouse import aws
from lakehouse.delta.store import File, StoreUnsupported
from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

#: Tries of one conditional PUT. S3 answers 409 to some of several that are under way at once: those are tried again.
TRIES = 8


class StoreUnavailable(LakehouseError):
    """S3 did not do what was asked, and said why or nothing at all."""


def canonical(path: str) -> str:
    """s3a://bucket/key, the key as it is: not decoded, without empty segments."""
    bucket, key = _split(path)
    return f"s3a://{bucket}/{key}"


def uri(path: str) -> str:
    """s3a://bucket/key, percent-encoded."""
    bucket, key = _split(path)
    return f"s3a://{bucket}/{quote(key)}"


def delta_rs(path: str) -> tuple[str, dict[str, str] | None]:
    """The encoded address, and keys: delta-rs does not know Airflow's connections."""
    bucket, key = _split(path)
    known = aws.credentials(aws.access())
    options = {**known.environment(), "conditional_put": "etag"}
    if known.endpoint:
        options["AWS_ENDPOINT_URL"] = known.endpoint
        options["AWS_ALLOW_HTTP"] = str(known.endpoint.startswith("http://")).lower()
    return f"s3://{bucket}/{quote(key)}", options


def names(folder: str) -> list[str]:
    """Names directly below the prefix."""
    found = []
    for prefix, page in _pages(folder, Delimiter="/"):
        found += [entry["Key"][len(prefix) :] for entry in page.get("Contents", ())]
        found += [entry["Prefix"][len(prefix) : -1] for entry in page.get("CommonPrefixes", ())]
    return [name for name in found if name]


def walk(folder: str) -> Iterator[File]:
    """Objects below the prefix; the empty ones that stand for folders are none."""
    for prefix, page in _pages(folder):
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):
                yield File(entry["Key"][len(prefix) :], int(entry["Size"]), entry["LastModified"].timestamp())


def exists(path: str) -> bool:
    """Whether the object is there."""
    bucket, key = _split(path)
    try:
        with _asked(path):
            _client().head_object(Bucket=bucket, Key=key)
    except FileNotFoundError:
        return False
    return True


def read(path: str) -> bytes:
    """The object's bytes."""
    bucket, key = _split(path)
    with _asked(path):
        found: bytes = _client().get_object(Bucket=bucket, Key=key)["Body"].read()
    return found


def put_if_absent(path: str, data: bytes) -> bool:
    """PUT with If-None-Match. 412: taken, unless by an earlier try of ours whose answer was lost.

    409 (another conditional PUT was under way), 5xx and lost connections decide nothing: they are tried again.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = _split(path)
    # No retries below us: a retried PUT is told 412 about its own first try.
    once = _client(retries=(("total_max_attempts", 1),))
    doubtful = False
    for attempt in range(TRIES):
        try:
            once.put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
            return True
        except ClientError as error:
            status = _status(error)
            if status == 412:
                return doubtful and read(path) == data
            if status != 409 and status < 500 and status != 429:
                raise _unavailable(path, error) from error
            doubtful |= status >= 500
            last: Exception = error
        except BotoCoreError as error:
            doubtful = True
            last = error
        time.sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))  # noqa: S311 - not for secrets
    raise _unavailable(path, last) from last


def replace(path: str, data: bytes) -> None:
    """A plain PUT is whole or not at all."""
    bucket, key = _split(path)
    with _asked(path):
        _client().put_object(Bucket=bucket, Key=key, Body=data)


@contextmanager
def draft(path: str) -> Iterator[Path]:
    """A file in the machine's temporary folder, uploaded in the end: in parts where it is large, which nobody sees
    until the last one is there."""
    bucket, key = _split(path)
    with tempfile.TemporaryDirectory(prefix="lakehouse-") as folder:
        made = Path(folder) / "draft"
        yield made
        with _asked(path):
            _client().upload_file(str(made), bucket, key)


def opened(path: str) -> Any:
    """The object, read in ranges by delta-rs's client."""
    from lakehouse.delta.store import arrow_filesystem

    folder, _, name = path.rpartition("/")
    return arrow_filesystem(folder).open_input_file(name)


def delete(path: str) -> None:
    """S3 does not mind where there is none."""
    bucket, key = _split(path)
    with _asked(path):
        _client().delete_object(Bucket=bucket, Key=key)


def remove_tree(folder: str) -> None:
    """Delete what is below the prefix, a thousand at a time."""
    bucket, base = _split(folder)
    keys = [f"{base}/{file.name}" for file in walk(folder)]
    for start in range(0, len(keys), 1000):
        batch = [{"Key": key} for key in keys[start : start + 1000]]
        with _asked(folder):
            answer = _client().delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if answer.get("Errors"):
            first = answer["Errors"][0]
            raise StoreUnavailable(
                f"s3://{bucket}/{first.get('Key')} was not deleted: {first.get('Code')}.", "Check the role's rights."
            )


def prune(folder: str, before: float) -> None:
    """There are no folders."""


def _split(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("://")[2].partition("/")
    if not bucket:
        raise StoreUnsupported(f"{path} names no bucket.", "Write s3://bucket/prefix.")
    return bucket, "/".join(segment for segment in key.split("/") if segment)


def _client(**settings: Any) -> Any:
    known = aws.access()
    # A stand-in has no host name for each bucket.
    return aws.client("s3", known, s3=(("addressing_style", "path" if known.endpoint else "auto"),), **settings)


def _pages(folder: str, **asked: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(the prefix, a page of what lies below it)."""
    bucket, key = _split(folder)
    prefix = f"{key}/" if key else ""
    with _asked(folder):
        for page in _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **asked):
            yield prefix, page


@contextmanager
def _asked(path: str) -> Iterator[None]:
    """What S3 or the way to it refuses, by our own names: FileNotFoundError for no such object, StoreUnavailable."""
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError, S3UploadFailedError) as error:
        no_bucket = isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == "NoSuchBucket"
        if isinstance(error, ClientError) and _status(error) == 404 and not no_bucket:
            raise FileNotFoundError(2, "No such object", path) from error
        raise _unavailable(path, error) from error


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _unavailable(path: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(f"{path}: {error}", "Check bucket, region and rights of the connection aws_default.")
