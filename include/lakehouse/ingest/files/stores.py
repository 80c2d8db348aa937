"""Where objects lie: a bucket, or a folder. Listing them, and opening one as it was listed.

An ETag says which content a key had: S3's own, or size and time of the last change of a file.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import unquote, urlsplit

from lakehouse.errors import LakehouseError

#: How often a download that broke off goes on from where it was, without a byte in between.
ATTEMPTS = 4


class StoreUnreadable(LakehouseError):
    """A bucket or folder that cannot be listed, or an object that cannot be fetched."""


class ObjectGone(LakehouseError):
    """An object was listed, and is not there any more as it was."""


@dataclass(frozen=True)
class Stored:
    """One object as it was listed."""

    key: str
    etag: str
    size: int
    modified: datetime


class Store(Protocol):
    """Objects under one place."""

    def listed(self) -> Iterator[Stored]:
        """Every object there is now. Raises StoreUnreadable."""

    def opened(self, key: str, etag: str) -> tuple[BinaryIO, int]:
        """The content that `key` had under `etag`, and its size in bytes. Raises ObjectGone, StoreUnreadable."""


class Folder:
    """The client of a local folder: what a connection of type `fs` opens."""

    def __init__(self, path: str) -> None:
        """`path` is what relative names of objects start from."""
        self.path = Path(path)

    def close(self) -> None:
        """Nothing is open."""


def store(connection: Any, place: str) -> Store:
    """The store at `place` for an open client: s3://bucket/prefix with S3's, a folder or file:///folder with a Folder.

    Raises StoreUnreadable where the two do not fit.
    """
    url = urlsplit(place)
    if isinstance(connection, Folder) and url.scheme in ("", "file"):
        return _Files(connection.path / (unquote(url.path) if url.scheme else place))
    if not isinstance(connection, Folder) and url.scheme == "s3" and url.netloc:
        # Not url.path: a key may have ? and # in it.
        return _Bucket(connection, url.netloc, place.removeprefix(f"s3://{url.netloc}").removeprefix("/"))
    raise StoreUnreadable(
        f"Files at '{place}' do not lie where the source's connection leads.",
        "Write s3://bucket/prefix/ for a connection of type aws, a folder for one of type fs.",
    )


class _Files:
    def __init__(self, root: Path) -> None:
        self.root = root

    def listed(self) -> Iterator[Stored]:
        if not self.root.is_dir():
            raise StoreUnreadable(f"There is no folder {self.root}.", "Make it, or mend the object of the source.")
        for folder, folders, names in os.walk(self.root, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                # Dot files are what copying tools write before they rename.
                if not name.startswith("."):
                    yield from self._found(Path(folder, name))

    def _found(self, path: Path) -> Iterator[Stored]:
        try:
            state = path.stat()
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP):
                return  # Taken away a moment ago, or a link that leads nowhere.
            raise StoreUnreadable(f"File {path} cannot be looked at: {error.strerror}.", "Let us read it.") from None
        if stat.S_ISREG(state.st_mode):
            moment = datetime.fromtimestamp(state.st_mtime, UTC)
            yield Stored(self._key(path), _tag(state), state.st_size, moment)

    def _key(self, path: Path) -> str:
        key = path.relative_to(self.root).as_posix()
        try:
            key.encode()
        except UnicodeEncodeError:
            raise StoreUnreadable(
                f"A file in {path.parent} has a name that is no text.", "Rename it or take it away."
            ) from None
        return key

    def opened(self, key: str, etag: str) -> tuple[BinaryIO, int]:
        try:
            file = (self.root / key).open("rb")
        except FileNotFoundError:
            raise _gone(key) from None
        except OSError as error:
            raise StoreUnreadable(f"File {key} cannot be opened: {error.strerror}.", "Let us read it.") from None
        state = os.fstat(file.fileno())
        if _tag(state) != etag:
            file.close()
            raise _gone(key)
        return file, state.st_size


def _tag(state: os.stat_result) -> str:
    return f"{state.st_size:x}-{state.st_mtime_ns:x}"


def _refuse(error: OSError) -> None:
    raise StoreUnreadable(f"Folder {error.filename} cannot be listed: {error.strerror}.", "Let us read it.")


def _gone(key: str) -> ObjectGone:
    return ObjectGone(
        f"Object {key} was listed, and is gone or replaced since.",
        "Put it back and clear the task, or let the next run take what is there then.",
    )


class _Bucket:
    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix

    def listed(self) -> Iterator[Stored]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
            for page in pages:
                for entry in page.get("Contents", []):
                    # Consoles make an empty object for a folder.
                    if not entry["Key"].endswith("/"):
                        yield Stored(entry["Key"], entry["ETag"].strip('"'), entry["Size"], entry["LastModified"])
        except (ClientError, BotoCoreError) as error:
            raise StoreUnreadable(
                f"Bucket {self.bucket} cannot be listed ({_code(error)}).",
                "Check the object of the source, its connection, and the right to list the bucket.",
            ) from None

    def opened(self, key: str, etag: str) -> tuple[BinaryIO, int]:
        content = _Download(self, key, etag)
        return io.BufferedReader(content, 2**20), content.size


class _Download(io.RawIOBase):
    """An object as a stream, which goes on where the line broke off; If-Match keeps it one and the same content."""

    def __init__(self, bucket: _Bucket, key: str, etag: str) -> None:
        self._bucket, self._key, self._etag = bucket, key, etag
        self._position, self.size = 0, -1
        self._body: Any = None
        self._connect()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        for attempt in range(ATTEMPTS):
            try:
                if self._body is None:
                    self._connect()
                data = self._body.read(len(buffer)) if self._position < self.size else b""
            except (BotoCoreError, HTTPError, OSError) as error:
                self._drop()
                if attempt == ATTEMPTS - 1:
                    raise self._unreadable(error) from None
                continue
            if not data and self._position < self.size:
                self._drop()
                continue
            buffer[: len(data)] = data
            self._position += len(data)
            return len(data)
        raise self._unreadable(None)

    def _connect(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        # An empty object has no range.
        span = {"Range": f"bytes={self._position}-"} if self._position else {}
        try:
            answer = self._bucket.client.get_object(
                Bucket=self._bucket.bucket, Key=self._key, IfMatch=f'"{self._etag}"', **span
            )
        except ClientError as error:
            if _code(error) in ("NoSuchKey", "404", "PreconditionFailed", "412"):
                raise _gone(self._key) from None
            raise self._unreadable(error) from None
        except BotoCoreError as error:
            raise self._unreadable(error) from None
        self._body = answer["Body"]
        if self.size < 0:
            self.size = answer["ContentLength"]

    def _unreadable(self, error: Exception | None) -> StoreUnreadable:
        return StoreUnreadable(
            f"Object {self._key} of bucket {self._bucket.bucket} cannot be fetched ({_code(error)}).",
            "Check the right to read it and whether it is archived, and clear the task.",
        )

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        self._drop()
        super().close()


def _code(error: Exception | None) -> str:
    """What kind of error, without the message: that may quote a request."""
    answer = getattr(error, "response", None) or {}
    return str(answer.get("Error", {}).get("Code") or type(error).__name__)
