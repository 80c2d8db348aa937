"""What every benchmark has at its door: arguments, a place to work, a server of its own, and figures told as JSON."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from lakehouse.config import settings
from lakehouse.spark.local import served


def arguments(words: str | None, **numbers: int) -> argparse.ArgumentParser:
    """A parser that says `words`, with an option for each of `numbers`, its default, and one for a file."""
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default:,}")
    parser.add_argument("--output", type=Path, help="also write the figures here")
    return parser


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-bench-") as folder:
        yield Path(folder)


@contextmanager
def serving_spark(work: Path, memory: str = "6g", conf: dict[str, str] | None = None) -> Iterator[None]:
    """A server with the settings of a real deployment, which this process's sessions go to; set what else the
    environment is to say before."""
    (work / "spark").mkdir()
    with served(work / "spark", driver_memory=memory, conf=conf) as endpoint:
        os.environ["LAKEHOUSE_SPARK_REMOTE"] = endpoint
        settings.cache_clear()
        yield


def medians(runs: Sequence[Mapping[str, float]], digits: int = 2) -> dict[str, float]:
    """The median of every figure."""
    return {name: round(statistics.median(run[name] for run in runs), digits) for name in runs[0]}


def tell(found: Mapping[str, Any], output: Path | None, broken: bool = False) -> NoReturn:
    """Print the figures, write them to `output`, and end; exit code 1 where a promise is broken."""
    text = json.dumps(found, indent=2)
    print(text)
    if output:
        output.write_text(text + "\n")
    raise SystemExit(broken)
