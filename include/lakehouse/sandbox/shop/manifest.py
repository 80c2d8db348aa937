"""The manifest on disk: what the generator planted on each day, as JSON for people, plans and tests.

It is written when a day is applied and is never read by the pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lakehouse.config import settings
from lakehouse.sandbox.shop.model import DayChanges, ShopConfig
from lakehouse.sandbox.shop.vendor import VendorFile


def manifest_folder() -> Path:
    """Where manifests lie unless a caller says otherwise."""
    return settings().home / "sandbox" / "shop" / "manifest"


def write_manifest(config: ShopConfig, changes: DayChanges, folder: Path | None = None) -> Path:
    """Write day `changes.n` as <folder>/day-NNN.json and return the path. Same day, same bytes."""
    content = {
        "day": changes.n,
        "window": {"low": changes.low.isoformat(), "high": changes.high.isoformat()},
        "config": config.fingerprint(),
        "rows": {name: len(change) for name, change in changes.changes.items()},
        "planted": [entry.as_json() for entry in changes.planted],
    }
    return _write((folder or manifest_folder()) / f"day-{changes.n:03d}.json", content)


def write_files(config: ShopConfig, n: int, files: Sequence[VendorFile], folder: Path | None = None) -> Path:
    """Write what vendors send on day `n` as <folder>/files-NNN.json and return the path. Same day, same bytes."""
    content = {"day": n, "config": config.fingerprint(), "files": [file.as_json() for file in files]}
    return _write((folder or manifest_folder()) / f"files-{n:03d}.json", content)


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    part.replace(path)
    return path
