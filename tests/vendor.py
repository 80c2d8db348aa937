"""A contract for vendor files in a folder, and what its feed reads there, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from lakehouse.contracts import Contract, load_contract
from lakehouse.ingest.files import FilesFeed
from lakehouse.ingest.files.stores import Folder

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: bronze.offers
version: 1.0.0
status: active
team: {name: Test, members: [{username: owner@test.example}]}
schema:
  - name: offers
    properties:
      - {name: sku, physicalName: SKU, physicalType: STRING, primaryKey: true, required: true}
      - {name: day, physicalType: DATE, required: true}
      - {name: price, physicalType: "DECIMAL(10,2)"}
      - {name: note, physicalType: STRING%s}
      - {name: n, physicalType: BIGINT}
customProperties:
  - property: source
    value:
      connection: vendor
      type: files
      object: "%s"
      cursor: day
      initialValue: 2025-01-01
      options: %s
"""
PATTERN = r"(?P<day>\d{4}-\d{2}-\d{2})"
#: Where a test does not care.
NAME = "2025-10-01.csv"


def contract(root: Path, place: str = "in", protect: bool = False, **options: str) -> Contract:
    """bronze.offers over the folder (or bucket) `place`."""
    folder = root / "tables" / "bronze" / "offers"
    folder.mkdir(parents=True, exist_ok=True)
    secret = ", customProperties: [{property: protect, value: mask}]" if protect else ""
    text = CONTRACT % (secret, place, json.dumps({"pattern": PATTERN, **options}))
    (folder / "contract.odcs.yaml").write_text(text)
    return load_contract(folder)


def feed(root: Path, **options: Any) -> FilesFeed:
    """The feed of root/in."""
    made = contract(root, **options)
    assert made.source
    return FilesFeed(made, made.source, Folder(str(root)))


def put(root: Path, name: str, content: bytes) -> None:
    """An object under root/in."""
    path = root / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def batches(made: FilesFeed) -> Iterator[pa.RecordBatch]:
    """All that is delivered now."""
    for piece in made.plan((), made.deliveries()):
        yield from made.read(piece)


def rows(made: FilesFeed) -> list[dict[str, Any]]:
    """The same as rows; a row has the values that are not null."""
    return [{k: v for k, v in row.items() if v is not None} for batch in batches(made) for row in batch.to_pylist()]


def read(root: Path, name: str, content: bytes, **options: Any) -> list[dict[str, Any]]:
    """Rows of one object."""
    put(root, name, content)
    return rows(feed(root, **options))
