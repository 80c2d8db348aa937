"""Brings the vendors' files into the S3 stand-in, and again when it has lost them.

The stand-in keeps its objects in memory. What was sent lies in {home}/sandbox/vendor too, as the bucket has it, and
fills the bucket up whenever the sandbox is brought up or seeded: same keys, same bytes, so the same ETags, and nothing
is loaded twice.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from lakehouse.sandbox import buckets
from lakehouse.sandbox.shop import Shop, ShopConfig
from lakehouse.sandbox.shop.manifest import write_files
from lakehouse.sandbox.shop.vendor import vendor_files

BUCKET = "vendor-drop"
#: The last day that was sent, in the folder; no key begins with a dot.
SENT = ".sent"


def deliver(s3: Any, folder: Path, n: int, config: ShopConfig | None = None, manifests: Path | None = None) -> int:
    """Send what vendors send up to day `n` and have not sent yet; how many rows are in it.

    A day that broke off is sent again whole. `folder` is the bucket's twin.
    """
    shop, rows = Shop(config), 0
    for day in range(_sent(folder) + 1, n + 1):
        files = vendor_files(shop, day)
        for file in files:
            path = folder / file.key
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}")
            draft.write_bytes(file.content)
            draft.replace(path)
        write_files(shop.config, day, files, manifests)
        rows += sum(file.rows for file in files)
        fill(s3, folder)
        (folder / SENT).write_text(str(day))
    fill(s3, folder)
    return rows


def fill(s3: Any, folder: Path) -> int:
    """Put what the bucket lacks of `folder`, the bucket itself included; how many objects."""
    buckets.make(s3, BUCKET)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    there = {entry["Key"]: entry["ETag"].strip('"') for page in pages for entry in page.get("Contents", [])}
    put = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")):
        key, content = path.relative_to(folder).as_posix(), path.read_bytes()
        if there.get(key) != hashlib.md5(content, usedforsecurity=False).hexdigest():
            s3.put_object(Bucket=BUCKET, Key=key, Body=content)
            put += 1
    return put


def _sent(folder: Path) -> int:
    mark = folder / SENT
    return int(mark.read_text()) if mark.is_file() else -1
