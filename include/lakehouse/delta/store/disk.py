"""The store on local disk: atomic by hard links, durable by fsync. Use it through `lakehouse.delta.store`."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lakehouse.delta.store import File


def canonical(path: str) -> str:
    """`path` made absolute."""
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow links


def uri(path: str) -> str:
    """file:/abs/path, percent-encoded: one slash, as Hadoop writes it."""
    return f"file:{quote(path)}"


def delta_rs(path: str) -> tuple[str, dict[str, str] | None]:
    """The plain path: a URI would be decoded."""
    return path, None


def names(folder: str) -> list[str]:
    """Names in `folder`."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return []


def walk(folder: str) -> Iterator[File]:
    """Files below `folder`. One that is deleted meanwhile is not told."""
    root = Path(folder)
    for path in root.rglob("*"):
        try:
            told = path.stat()
            if path.is_file():
                yield File(path.relative_to(root).as_posix(), told.st_size, told.st_mtime)
        except FileNotFoundError:
            continue


def exists(path: str) -> bool:
    """Whether the file is there."""
    return Path(path).is_file()


def read(path: str) -> bytes:
    """The file's bytes."""
    return Path(path).read_bytes()


def put_if_absent(path: str, data: bytes) -> bool:
    """A finished draft gets the name by a hard link, which fails where the name is taken."""
    target = Path(path)
    made = _written(target, data)
    try:
        os.link(made, target)
    except FileExistsError:
        return False
    finally:
        made.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def replace(path: str, data: bytes) -> None:
    """A finished draft is renamed over the file."""
    _written(Path(path), data).replace(path)


@contextmanager
def draft(path: str) -> Iterator[Path]:
    """A file beside it, renamed in the end. Unlike what is put, it may still be in the machine's memory then."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    made = _beside(target)
    try:
        yield made
        made.replace(target)
    finally:
        made.unlink(missing_ok=True)


def opened(path: str) -> Any:
    """The file, opened."""
    import pyarrow as pa

    return pa.OSFile(path)


def delete(path: str) -> None:
    """Unlink the file."""
    Path(path).unlink(missing_ok=True)


def remove_tree(folder: str) -> None:
    """Delete the folder; somebody may be deleting in it as well."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if Path(folder).exists():
            raise


def prune(folder: str, before: float) -> None:
    """Remove old empty folders, the deepest first."""
    for where, _, _ in os.walk(folder, topdown=False):
        try:
            if Path(where).stat().st_mtime < before:
                Path(where).rmdir()
        except OSError:
            continue  # Not empty, or gone.


def _written(target: Path, data: bytes) -> Path:
    """A file of its own beside `target`, on the disk to the last byte: a link to it is never a link to half a file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = _beside(target)
    with made.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return made


def _beside(target: Path) -> Path:
    """A name that nobody else has. A leading dot: Delta's readers skip such names."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}")
