"""What a batch job needs, in one archive: library, table folders, configuration, entry script, and a manifest of it.

The same input gives the same bytes. Names carry the archive's SHA-256, so nothing is ever replaced by something else.
Not in it: tests, cases of tables, caches, secrets, and the Python packages and jars, which the manifest names.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lakehouse.config import PROJECT, settings
from lakehouse.contracts import load_contract
from lakehouse.errors import LakehouseError
from lakehouse.manifest import folders
from lakehouse.spark.jars import COORDINATES, EXCLUDES
from lakehouse.spark.server import FEW_CORES, SESSION_CONF

#: Raise when the manifest's form changes.
FORMAT = 1
#: Name of the entry script in the archive.
ENTRY = "lakehouse_job.py"
#: What a driver imports that neither Python nor Spark brings.
PYTHON: tuple[str, ...] = (
    *("boto3", "deltalake", "duckdb", "great-expectations", "numpy", "open-data-contract-standard", "pandas"),
    *("psutil", "pyarrow", "pydantic", "pyyaml", "sqlglot", "structlog", "typing-extensions"),
)
#: Keys of a configuration that a value must not stand beside.
_SECRET = re.compile(r"password|passwd|secret|token|private_?key|access_?key", re.IGNORECASE)


class PackageRefused(LakehouseError):
    """A package that would lack a part, or carry what must not leave this machine."""


@dataclass(frozen=True)
class Package:
    """An archive with its entry script and manifest. The three files share a stem: lakehouse-<16 hex digits>."""

    archive: bytes
    entry: bytes
    manifest: dict[str, Any]

    @property
    def stem(self) -> str:
        """Name of the files, without their ends."""
        return f"lakehouse-{hashlib.sha256(self.archive).hexdigest()[:16]}"

    def files(self) -> dict[str, bytes]:
        """{name: content}. The manifest is last: whoever finds it finds the others."""
        told = {"archive": f"{self.stem}.zip", "entry": f"{self.stem}.py"}
        sums = {"sha256": hashlib.sha256(self.archive).hexdigest()}
        text = json.dumps({**told, **sums, **self.manifest}, indent=1, sort_keys=True) + "\n"
        return {told["archive"]: self.archive, told["entry"]: self.entry, f"{self.stem}.json": text.encode()}

    def write(self, folder: str) -> dict[str, str]:
        """Put the files into `folder`, on disk or s3://, if they are not there; {archive, entry, manifest: path}.

        Raises PackageRefused where a file of that name holds something else.
        """
        from lakehouse.delta import store

        root = store.canonical(str(Path(folder).resolve()) if "://" not in folder else folder)
        placed = []
        for name, content in self.files().items():
            path = f"{root}/{name}"
            if not store.put_if_absent(path, content) and store.read(path) != content:
                raise PackageRefused(f"{path} is there and holds something else.", "Delete it, or choose a new folder.")
            placed.append(path)
        return dict(zip(("archive", "entry", "manifest"), placed, strict=True))


def build(tables: Path | None = None, config: Path | None = None) -> Package:
    """The package of this checkout with the folders `tables` and `config` (default: the configured, the project's).

    Raises PackageRefused naming what is missing or must not be in it, and ContractError, SqlError for a broken table.
    """
    tables, config = tables or settings().tables, config or PROJECT / "include" / "config"
    library = Path(__file__).parents[1]
    entry = Path(__file__).with_name(ENTRY)
    for part in (entry, library / "__init__.py", config, tables):
        if not part.exists():
            raise PackageRefused(f"{part} is missing.", "A package is made of a whole checkout: restore it.")
    content = {f"include/lakehouse/{name}": data for name, data in _tree(library, ("*.py",))}
    configurations = dict(_tree(config, ("*.yaml",)))
    if not configurations:
        raise PackageRefused(f"{config} holds no configuration.", "A job runs by one of them: add <name>.yaml.")
    for name, data in configurations.items():
        _without_secrets(config / name, yaml.safe_load(data))
        content[f"include/config/{name}"] = data
    fingerprints = {}
    for folder in folders(tables):
        name, prints = _fingerprints(folder)
        fingerprints[name] = prints
        for file in ("contract.odcs.yaml", *(["transform.sql"] if "sql" in prints else [])):
            content[f"include/tables/{folder.parent.name}/{folder.name}/{file}"] = (folder / file).read_bytes()
    manifest = _manifest(fingerprints)
    content[ENTRY] = entry.read_bytes()
    content["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True).encode()
    return Package(_zipped(content), content[ENTRY], manifest)


def _fingerprints(folder: Path) -> tuple[str, dict[str, str]]:
    from lakehouse.transform.sql import parse_transform

    if not (folder / "contract.odcs.yaml").is_file():
        raise PackageRefused(f"{folder} has no contract.odcs.yaml.", "Add it, or remove the folder.")
    contract = load_contract(folder)
    if contract.source:
        return contract.name, {"contract": contract.fingerprint}
    return contract.name, {"contract": contract.fingerprint, "sql": parse_transform(folder).fingerprint}


def _manifest(fingerprints: dict[str, dict[str, str]]) -> dict[str, Any]:
    version = importlib.metadata.version
    return {
        "format": FORMAT,
        "tables": fingerprints,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "spark": version("pyspark"),
        "delta": version("delta-spark"),
        "jars": list(COORDINATES),
        "jars_left_out": list(EXCLUDES),
        "requirements": [f"{name}=={version(name)}" for name in PYTHON],
        "conf": {name: value for name, value in SESSION_CONF.items() if name not in FEW_CORES},
    }


def _tree(root: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Files under `root` by their path there, caches and hidden ones left out."""
    for file in sorted(path for pattern in patterns for path in root.rglob(pattern)):
        parts = file.relative_to(root).parts
        if file.is_file() and not any(part.startswith(".") or part in ("__pycache__", "tests") for part in parts):
            yield "/".join(parts), file.read_bytes()


def _without_secrets(file: Path, value: Any, key: str = "") -> None:
    """Raise PackageRefused where a key that names a secret has a value, however deep. The value is not shown."""
    if isinstance(value, dict):
        for name, part in value.items():
            _without_secrets(file, part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for part in value:
            _without_secrets(file, part, key)
    elif value and _SECRET.search(key.rpartition(".")[2]):
        raise PackageRefused(
            f"{file}: '{key}' looks like a secret.", "Secrets come by connections: see docs/deploy.md."
        )


def _zipped(content: dict[str, bytes]) -> bytes:
    """A zip without times, owners or compression: its bytes depend on `content` alone, on no version of zlib."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(content.items()):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, data)
    return out.getvalue()
