"""The jars that Spark needs beside its own, resolved once through Ivy and then served from the cache.

Not for choosing repositories: Ivy runs with the plain configuration of the machine.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from lakehouse.config import settings
from lakehouse.errors import LakehouseError
from lakehouse.spark.java import java_home

#: What to resolve, pinned. One line a coordinate. The AWS modules are those that S3A uses, in the version of the bundle
#: that hadoop-aws would bring (686 MB).
COORDINATES: tuple[str, ...] = (
    "io.delta:delta-spark_4.2_2.13:4.4.0",
    "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",
    "org.apache.hadoop:hadoop-aws:3.5.0",
    "software.amazon.awssdk:s3:2.35.4",
    "software.amazon.awssdk:s3-transfer-manager:2.35.4",
    "software.amazon.awssdk:sts:2.35.4",
    "software.amazon.awssdk:apache-client:2.35.4",
    "software.amazon.awssdk:netty-nio-client:2.35.4",
    "software.amazon.awssdk:url-connection-client:2.35.4",
)

#: What Spark ships itself, in its own versions. Not downloading these saves 70 MB and a classpath with two of each.
EXCLUDES: tuple[str, ...] = (
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
    "org.apache.parquet:*",
    "org.apache.logging.log4j:*",
    "org.slf4j:*",
    "org.roaringbitmap:*",
    "com.fasterxml.jackson.core:*",
    "com.fasterxml.jackson.datatype:*",
    "com.google.code.findbugs:jsr305",
    "software.amazon.awssdk:bundle",
)

#: Written last into a resolved folder: the names of its jars. A folder without it is not used.
MARKER = "complete.json"


class JarsMissing(LakehouseError):
    """The jars could not be resolved."""


def spark_home() -> Path:
    """Folder of the installed pyspark package, which is a whole Spark distribution. Raises JarsMissing without one."""
    # Not imported: that costs a second, which a launcher need not spend.
    found = importlib.util.find_spec("pyspark")
    home = Path(next(iter(found.submodule_search_locations or []), "")) if found else Path()
    if not (home / "bin" / "spark-submit").is_file():
        raise JarsMissing("This Python environment has no pyspark with its jars.", "Run `make setup`.")
    return home


def resolve_jars(
    coordinates: tuple[str, ...] = COORDINATES, excludes: tuple[str, ...] = EXCLUDES, *, beside_spark: bool = True
) -> list[Path]:
    """The jars of `coordinates`, from the cache; the first call resolves them (network), later ones need none.

    `beside_spark`: without those that Spark ships itself, in whatever version.

    The first call takes half a minute. Every caller resolves into a folder of its own and the first to finish gives
    it its name, so callers in several checkouts do not disturb each other. Raises JarsMissing with the end of Ivy's
    output.
    """
    key = sha256(json.dumps([coordinates, excludes, *([] if beside_spark else ["alone"])]).encode()).hexdigest()[:16]
    folder = settings().spark_jars / key
    cached = _complete(folder)
    if cached:
        return cached
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".resolving-", dir=folder.parent) as scratch:
        ready = Path(scratch) / "ready"
        _resolve(Path(scratch) / "ivy", coordinates, excludes)
        ready.mkdir()
        for jar in sorted((Path(scratch) / "ivy" / "jars").glob("*.jar")):
            if not (beside_spark and _shipped(jar.name)):
                jar.replace(ready / jar.name)
        names = sorted(jar.name for jar in ready.glob("*.jar"))
        (ready / MARKER).write_text(json.dumps({"coordinates": coordinates, "jars": names}, indent=1))
        if folder.is_dir() and not _complete(folder):
            # Somebody deleted jars by hand. Moved aside first: a folder cannot be renamed over a full one.
            folder.rename(Path(scratch) / "damaged")
        try:
            ready.rename(folder)
        except OSError:
            # Another process finished first; its folder holds the same jars.
            if not _complete(folder):
                raise
    return _complete(folder)


def _complete(folder: Path) -> list[Path]:
    """The jars of a finished folder, or an empty list where it is not finished or one of them is gone."""
    marker = folder / MARKER
    if not marker.is_file():
        return []
    jars = [folder / name for name in json.loads(marker.read_text())["jars"]]
    return jars if all(jar.is_file() for jar in jars) else []


def _resolve(ivy: Path, coordinates: tuple[str, ...], excludes: tuple[str, ...]) -> None:
    """Let spark-submit's own Ivy fetch: it runs a class that prints Spark's version and ends, with no session."""
    argv = [str(spark_home() / "bin" / "spark-submit"), "--master", "local[1]"]
    argv += ["--conf", f"spark.jars.ivy={ivy}", "--packages", ",".join(coordinates)]
    argv += ["--exclude-packages", ",".join(excludes)]
    argv += ["--class", "org.apache.spark.deploy.SparkSubmit", "spark-internal", "--version"]
    environ = {**os.environ, **spark_environment()}
    try:
        ran = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=600, check=False)
        output, failed = ran.stdout + ran.stderr, ran.returncode != 0
    except subprocess.TimeoutExpired:
        output, failed = "no answer within 10 minutes", True
    if failed or not any((ivy / "jars").glob("*.jar")):
        unresolved = re.findall(r":: ([\w.]+#[\w.;\-]+: .*)", output)
        reason = "; ".join(unresolved[:5]) or output.strip()[-500:]
        raise JarsMissing(
            f"Ivy could not resolve {', '.join(coordinates)}: {reason}",
            "Check the network (and Ivy's settings, where a mirror is needed), then run `make setup` again.",
        )


def spark_environment() -> Mapping[str, str]:
    """What every Spark launcher needs in its environment, whatever else is set there."""
    return {"JAVA_HOME": str(java_home()), "SPARK_HOME": str(spark_home())}


def _shipped(name: str) -> bool:
    """Whether Spark's own jars hold this artifact in any version. Ivy names jars `<group>_<artifact>-<version>.jar`."""
    artifact = re.sub(r"-\d[^-]*\.jar$", "", name.partition("_")[2])
    own = re.compile(re.escape(artifact) + r"-\d.*\.jar")
    return any(own.fullmatch(jar.name) for jar in (spark_home() / "jars").iterdir())
