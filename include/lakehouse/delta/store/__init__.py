"""Where files of the lake lie: local disk or S3, told apart by the path. Everything above works on paths and bytes.

A canonical path is what Spark's `load` takes: `/abs/path` on disk, `s3a://bucket/key` on S3, neither percent-encoded.
The one atomic step is `put_if_absent`; commits, branches' records and their fate are built on nothing else.
Not for data files of tables: Spark, delta-rs and pyarrow read and write those. Landing files and error lanes, which are
no tables, come and go by `draft` and `opened`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from deltalake import DeltaTable

#: Ways to write S3 that people and engines use; Spark's is the canonical one.
_S3 = ("s3", "s3a", "s3n")

#: delta-rs 1.6 decodes a table's path once more than it was encoded. Partition values are not in question.
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


class StoreUnsupported(LakehouseError):
    """A path of a store that this engine does not write to."""


@dataclass(frozen=True)
class File:
    """A file found by `walk`: its path under the folder walked, bytes, and when it was written (Unix seconds)."""

    name: str
    size: int
    modified: float


class Store(Protocol):
    """What a kind of store offers. The paths are canonical ones."""

    def canonical(self, path: str) -> str:
        """`path` with what says the same written once: no trailing slash, no empty segment."""

    def uri(self, path: str) -> str:
        """The path as an absolute URI, percent-encoded, as Spark writes it into a shallow clone's log."""

    def delta_rs(self, path: str) -> tuple[str, dict[str, str] | None]:
        """How delta-rs opens the table: address and storage options."""

    def names(self, folder: str) -> list[str]:
        """See `lakehouse.delta.store.names`."""

    def walk(self, folder: str) -> Iterator[File]:
        """See `lakehouse.delta.store.walk`."""

    def exists(self, path: str) -> bool:
        """See `lakehouse.delta.store.exists`."""

    def read(self, path: str) -> bytes:
        """See `lakehouse.delta.store.read`."""

    def put_if_absent(self, path: str, data: bytes) -> bool:
        """See `lakehouse.delta.store.put_if_absent`."""

    def replace(self, path: str, data: bytes) -> None:
        """See `lakehouse.delta.store.replace`."""

    def draft(self, path: str) -> AbstractContextManager[Path]:
        """See `lakehouse.delta.store.draft`."""

    def opened(self, path: str) -> Any:
        """See `lakehouse.delta.store.opened`."""

    def delete(self, path: str) -> None:
        """See `lakehouse.delta.store.delete`."""

    def remove_tree(self, folder: str) -> None:
        """See `lakehouse.delta.store.remove_tree`."""

    def prune(self, folder: str, before: float) -> None:
        """See `lakehouse.delta.store.prune`."""


def _of(path: str) -> Store:
    scheme = urlsplit(path).scheme if "://" in path else ""
    if scheme in _S3:
        from lakehouse.delta.store import s3

        return s3
    if "://" in path and scheme != "file":
        raise StoreUnsupported(f"{path} is neither on local disk nor on S3.", "Use a path, or s3://bucket/prefix.")
    from lakehouse.delta.store import disk

    return disk


def canonical(path: str) -> str:
    """`path` (plain, file: URI, s3:// or s3a://) in the one spelling that the others take; links are not followed.

    Raises StoreUnsupported for any other scheme, and for a name that looks percent-encoded.
    """
    if path.startswith("file:"):
        path = unquote(urlsplit(path).path)
    if _ESCAPE.search(path):
        raise StoreUnsupported(f"{path} has an escape in its name, which delta-rs decodes.", "Write the name decoded.")
    return _of(path).canonical(path)


def uri(path: str) -> str:
    """The path as Spark writes it into a log where it must be absolute: file:/a%20b, s3a://bucket/a%20b."""
    return _of(path).uri(path)


def relative(folder: str, address: str) -> str | None:
    """The part of `address`, an absolute URI in a Delta log, that is below `folder`, encoded as it was; None outside.

    Engines spell the scheme and escape characters each in their own way, so decoded segments are compared.
    """
    mine, theirs = (_segments(text) for text in (uri(folder), address))
    if mine[0] != theirs[0] or len(theirs[1]) <= len(mine[1]):
        return None
    depth = len(mine[1])
    return "/".join(theirs[1][depth:]) if [*map(unquote, theirs[1][:depth])] == [*map(unquote, mine[1])] else None


def _segments(address: str) -> tuple[tuple[str, str], list[str]]:
    parts = urlsplit(address)
    scheme = "s3" if parts.scheme in _S3 else parts.scheme
    return (scheme, parts.netloc), [segment for segment in parts.path.split("/") if segment]


def encoded(path: str) -> str:
    """A path relative to its table as a Delta log spells it."""
    return quote(path)


def decoded(path: str) -> str:
    """A path of a Delta log, which is percent-encoded, as the store knows it."""
    return unquote(path)


def delta_table(path: str, version: int | None = None) -> DeltaTable:
    """The table (or branch) at `path`, opened by delta-rs. Raises deltalake's errors."""
    from deltalake import DeltaTable

    address, options = delta_rs(path)
    return DeltaTable(address, version=version, storage_options=options)


def delta_rs(path: str) -> tuple[str, dict[str, str] | None]:
    """Address and storage options of the table for delta-rs. The options may hold secrets: never log them."""
    path = canonical(path)
    return _of(path).delta_rs(path)


def names(folder: str) -> list[str]:
    """Names of files and folders in `folder`, unsorted; none where it does not exist."""
    return _of(folder).names(folder)


def walk(folder: str) -> Iterator[File]:
    """Every file below `folder`, in no order; none where it does not exist."""
    return _of(folder).walk(folder)


def exists(path: str) -> bool:
    """Whether there is a file of this name."""
    return _of(path).exists(path)


def read(path: str) -> bytes:
    """A file, whole. Raises FileNotFoundError."""
    return _of(path).read(path)


def put_if_absent(path: str, data: bytes) -> bool:
    """Write the file whole, or not at all where the name is taken (False): of several writers one wins.

    An answer that was lost on the way is no loss: where the name holds these very bytes, they are taken for ours.
    """
    return _of(path).put_if_absent(path, data)


def replace(path: str, data: bytes) -> None:
    """Write the file whole, over what is there."""
    _of(path).replace(path, data)


def draft(path: str) -> AbstractContextManager[Path]:
    """A local file to be written by whoever writes files by name, however large.

    It gets the name `path`, whole and over what is there, when the `with` ends, and none when that ends in an error.
    """
    return _of(path).draft(path)


def opened(path: str) -> Any:
    """A file as pyarrow's NativeFile: what is asked for is read, not all of it. Raises FileNotFoundError."""
    return _of(path).opened(path)


def delete(path: str) -> None:
    """Delete a file; nothing happens where there is none."""
    _of(path).delete(path)


def remove_tree(folder: str) -> None:
    """Delete `folder` and all in it; nothing happens where it does not exist."""
    _of(folder).remove_tree(folder)


def prune(folder: str, before: float) -> None:
    """Remove empty folders below `folder` that nothing has touched since `before` (Unix seconds). S3 has none."""
    _of(folder).prune(folder, before)


def arrow_filesystem(path: str) -> Any:
    """A pyarrow file system rooted at the table, for its data files."""
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    address, options = delta_rs(path)
    return PyFileSystem(DeltaStorageHandler(address, options))


def open_parquet(path: str) -> Any:
    """A small Parquet file of a log (or a footer to look at) as pyarrow's ParquetFile. Raises FileNotFoundError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.ParquetFile(pa.BufferReader(read(path)))
