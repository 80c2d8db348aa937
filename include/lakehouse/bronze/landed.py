"""The landing files of one load: as Spark reads them, and what their footers tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.ingest.landing import landing_files, opened

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Landed:
    """Landing files (columns: see `ingest.landing`)."""

    #: One for each schema there is among the files.
    frames: tuple[DataFrame, ...]
    files: tuple[str, ...]
    rows: int


def landed(spark: SparkSession, folder: str) -> Landed:
    """The landing files of `folder`, which may be none."""
    groups: dict[str, list[str]] = {}
    rows = 0
    for path in landing_files(folder):
        with opened(path) as file:
            groups.setdefault(file.schema_arrow.remove_metadata().to_string(), []).append(path)
            rows += file.metadata.num_rows
    frames = tuple(spark.read.parquet(*files) for files in groups.values())
    return Landed(frames, tuple(path for files in groups.values() for path in files), rows)
