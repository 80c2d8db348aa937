"""A YAML document that remembers its lines, so that every complaint names one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from lakehouse.contracts.errors import ContractError

Where = tuple[str | int, ...]


class Document:
    """Parsed YAML of `path` plus the line of every node.

    Raises ContractError when the file is no YAML mapping.
    """

    def __init__(self, path: Path) -> None:
        """Read and parse `path` once."""
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ContractError(path, [(1, "the contract is not UTF-8", "Save it as UTF-8.")]) from error
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        loader = yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader
        try:
            node = yaml.compose(text, Loader=loader)
            self.data: Any = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader either way
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = f"not valid YAML: {getattr(error, 'problem', None) or error}"
            raise ContractError(path, [(mark.line + 1 if mark else 1, what, "Mend the YAML at that line.")]) from error
        if not isinstance(self.data, dict):
            raise ContractError(path, [(1, "the contract is not a mapping", "Start it with `apiVersion: v3.1.0`.")])
        self._lines: dict[Where, int] = {}
        self._repeated: list[tuple[int, str, str]] = []
        self._walk(node, ())
        if self._repeated:
            raise ContractError(path, self._repeated)

    def _walk(self, node: Any, at: Where) -> None:
        self._lines[at] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if (*at, key.value) in self._lines:  # YAML itself would quietly keep the last one
                    self._repeated.append((key.start_mark.line + 1, f"'{key.value}' is written twice", "Keep one."))
                self._walk(value, (*at, key.value))
                self._lines[(*at, key.value)] = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._walk(value, (*at, index))

    def line(self, at: Where) -> int:
        """Line of the node at `at`, or of its nearest ancestor that exists."""
        while at not in self._lines and at:
            at = at[:-1]
        return self._lines.get(at, 1)
