"""The file {home}/sandbox/env: the environment that the sandbox's clients need, one KEY=value a line.

Values are quoted as a POSIX shell quotes, so that `set -a; . .lakehouse/sandbox/env; set +a` works in a shell, and
this module reads them without one. The file holds passwords: mode 600.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from lakehouse.sandbox.errors import SandboxBroken


def path(home: Path) -> Path:
    """Where the environment of the sandbox under `home` is."""
    return home / "sandbox" / "env"


def write(file: Path, env: Mapping[str, str]) -> None:
    """Replace `file` by `env`, atomically, readable by its owner only. A value may not span lines."""
    lines = ["# Written by `lakehouse sandbox up`. Holds passwords."]
    for key, value in sorted(env.items()):
        if "\n" in value:
            raise SandboxBroken(f"The value of {key} spans several lines.", "Write it as one line.")
        lines.append(f"{key}={shlex.quote(value)}")
    write_private(file, "\n".join(lines) + "\n")


def read(file: Path) -> dict[str, str]:
    """What `write` wrote; nothing where there is no such file. Raises SandboxBroken naming the line."""
    if not file.is_file():
        return {}
    env: dict[str, str] = {}
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        key, equals, quoted = line.partition("=")
        try:
            words = shlex.split(quoted)
        except ValueError:
            words = ["", ""]
        if not equals or len(words) > 1:
            raise SandboxBroken(f"{file}, line {number} is not KEY=value.", "Run `lakehouse sandbox up` to rewrite it.")
        env[key] = words[0] if words else ""
    return env


def write_private(file: Path, text: str) -> None:
    """Replace `file` by `text` in one step; nobody but its owner can read it at any moment."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    draft.replace(file)
