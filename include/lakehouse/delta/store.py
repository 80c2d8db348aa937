"""Where a table's files lie: listing, reading and the two atomic steps that everything else is built on.

Local disk only. Another store has to offer the same functions; nothing else in this package touches files.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lakehouse.errors import LakehouseError


class StoreUnsupported(LakehouseError):
    """A path of a store that this engine does not write to."""


def local(path: str) -> Path:
    """`path` (plain, or a file: URI) as an absolute path without links resolved, as Spark names it.

    Raises StoreUnsupported for any other scheme.
    """
    parts = urlsplit(path)
    if parts.scheme == "file":
        path = unquote(parts.path)
    elif "://" in path:
        raise StoreUnsupported(f"{path} is not on local disk.", "Use a lake on local disk.")
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def names(folder: Path) -> list[str]:
    """Names in `folder`, unsorted; none where it does not exist."""
    try:
        return [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        return []


def write_draft(path: Path, data: bytes) -> None:
    """Write `data` to `path` and onto the disk, so that a link to it is never a link to half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def link_if_absent(draft: Path, target: Path) -> bool:
    """Give the finished `draft` the name `target` as well; False where the name is taken.

    Atomic: of several processes one wins, and no reader sees half a file. Raises FileNotFoundError without the draft.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def put_if_absent(target: Path, data: bytes) -> bool:
    """Write `target` whole, or not at all where it exists already (False)."""
    # A leading dot: Delta's readers skip such names.
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    write_draft(draft, data)
    try:
        return link_if_absent(draft, target)
    finally:
        draft.unlink()


def replace(target: Path, data: bytes) -> None:
    """Write `target` whole, over what is there."""
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    write_draft(draft, data)
    draft.replace(target)


def remove_tree(folder: Path) -> None:
    """Delete `folder` and all in it; nothing happens where it does not exist."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():
            raise


def decoded(path: str) -> str:
    """A path of a Delta log, which is percent-encoded, as it is on disk."""
    return unquote(path)
