"""The script that spark-submit runs: unpacks the archive that came by --py-files, and hands over to the library in it.

Stands alone: it is the one file of ours that a driver has before the archive is unpacked. Its arguments are those of
`lakehouse.jobs.work`.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
import zipfile
from pathlib import Path

_NAME = re.compile(r"lakehouse-([0-9a-f]{16})\.zip")


def found(places: list[str]) -> Path:
    """The archive among `places`. Exits where there is none, or its content is not what its name says."""
    archives = {path for path in map(Path, places) if _NAME.fullmatch(path.name) and path.is_file()}
    if len(archives) != 1:
        sys.exit("error: there must be one lakehouse-<sha>.zip.\n  -> Give it to spark-submit by --py-files.")
    archive = archives.pop()
    told = _NAME.fullmatch(archive.name)
    if not told or hashlib.sha256(archive.read_bytes()).hexdigest()[:16] != told[1]:
        sys.exit(f"error: {archive.name} is damaged.\n  -> Upload it again: `lakehouse package --upload`.")
    return archive


def main() -> int:
    """Unpack, import, run; the exit code of the work."""
    archive = found(sys.path)
    with tempfile.TemporaryDirectory(prefix="lakehouse-") as folder:
        with zipfile.ZipFile(archive) as package:
            package.extractall(folder)
        # Before everything else: a lakehouse that is installed here is not the one that was asked for.
        sys.path.insert(0, str(Path(folder) / "include"))
        from lakehouse.jobs.work import main as work

        return work(sys.argv[1:], archive.stem)


if __name__ == "__main__":
    sys.exit(main())
