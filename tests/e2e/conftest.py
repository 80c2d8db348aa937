"""One platform a session: the sandbox, a real scheduler, three days of the shop, its sources pictured each day."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from lakehouse import config, connections, paths
from lakehouse.manifest import Manifest, load
from lakehouse.sandbox import envfile, stack
from lakehouse.sandbox.demo import DAG, Demo, Summary
from lakehouse.sandbox.rest import Airflow
from lakehouse.sandbox.shop.snapshot import snapshot

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # The first test waits for the platform to come up and for three days to pass.
            item.add_marker(pytest.mark.timeout(1500))


@dataclass
class Platform:
    """What the tests look at."""

    url: str
    home: Path
    manifest: Manifest
    summary: Summary
    #: day number -> {source table: Parquet file} as the sources stood when that day's run began.
    sources: dict[int, dict[str, Path]] = field(default_factory=dict)
    #: day number -> {table: version} after that day's run.
    versions: dict[int, dict[str, int]] = field(default_factory=dict)


class RecordingDemo(Demo):
    """The demonstration of `make run`, with a picture taken before and after each day."""

    def __init__(self, url: str, home: Path, platform: Platform) -> None:
        super().__init__(url, lambda phase, what: None)
        self.home, self.platform, self.number = home, platform, 0

    def seed(self, day: int) -> None:
        super().seed(day)
        self.number = day
        with (
            closing(connections.open_source("snowflake_default")) as snowflake,
            closing(connections.open_source("redshift_default")) as redshift,
        ):
            self.platform.sources[day] = snapshot(snowflake, redshift, self.home / "snapshots" / str(day))

    def day(self, airflow: Airflow, low: datetime, high: datetime) -> None:
        super().day(airflow, low, high)
        self.platform.versions[self.number] = versions(self.platform.manifest)


def versions(manifest: Manifest) -> dict[str, int]:
    """Version of every table."""
    from lakehouse.delta import latest_version

    return {entry.name: latest_version(paths.table(entry.name)) for entry in manifest.entries}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("platform")
    before = dict(os.environ)
    os.environ["LAKEHOUSE_HOME"] = str(home)
    os.environ.pop("LAKEHOUSE_SPARK_REMOTE", None)
    config.settings.cache_clear()
    dags = home / "dags"
    dags.mkdir()
    for file in [*(config.PROJECT / "dags").glob("*.py"), HERE / "handwritten.py"]:
        shutil.copy(file, dags)
    try:
        url = stack.up(True, lambda name, what: None, dags=dags) or ""
        told = envfile.read(envfile.path(home))
        os.environ["LAKEHOUSE_SPARK_REMOTE"] = told["LAKEHOUSE_SPARK_REMOTE"]
        config.settings.cache_clear()
        found = Platform(url, home, load(), Summary())
        found.summary = RecordingDemo(url, home, found).run(3)
        yield found
    finally:
        stack.down(lambda name, what: None)
        os.environ.clear()
        os.environ.update(before)
        config.settings.cache_clear()


@pytest.fixture(scope="session")
def airflow(platform: Platform) -> Iterator[Airflow]:
    with Airflow(platform.url) as client:
        yield client


__all__ = ["DAG"]
