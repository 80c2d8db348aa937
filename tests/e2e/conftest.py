"""One platform a session: the sandbox, a real scheduler, days of the shop, its sources pictured each day.

Two days, and three with all of the long tests. After the first somebody triggers the daily run by hand.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import paths, watermarks
from lakehouse.config import PROJECT
from lakehouse.manifest import Manifest, load
from lakehouse.sandbox.demo import DAG, Demo, Summary
from lakehouse.sandbox.rest import Airflow
from lakehouse.sandbox.rest_results import DagRun
from tests.platform import platform_at
from tests.sample import ALL
from tests.shop import Sources

HERE = Path(__file__).parent
LAST = 3 if ALL else 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            # The first test waits for the platform to come up and for the days to pass.
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
    #: What the trigger by hand was: the watermarks before it, when it began, how it ended.
    marks: dict[str, datetime] = field(default_factory=dict)
    triggered: datetime | None = None
    by_hand: DagRun | None = None


class RecordingDemo(Demo):
    """The demonstration of `make run`, with a picture taken before and after each day."""

    def __init__(self, url: str, platform: Platform) -> None:
        super().__init__(url, lambda phase, what: None)
        self.platform, self.number = platform, 0

    def seed(self, day: int) -> None:
        super().seed(day)
        self.number = day
        self.platform.sources[day] = Sources(self.platform.home, self.platform.home).picture(day)

    def day(self, airflow: Airflow, low: datetime, high: datetime) -> None:
        super().day(airflow, low, high)
        self.platform.versions[self.number] = versions(self.platform.manifest)
        if self.number == 1:
            self.by_hand(airflow)

    def by_hand(self, airflow: Airflow) -> None:
        """Trigger the daily run as the UI does: without a logical date, with the form's own values."""
        self.platform.marks, self.platform.triggered = watermarks.store().all(), datetime.now(UTC)
        run = airflow.trigger(DAG)
        assert run.logical_date is None
        self.platform.by_hand = airflow.await_run(DAG, run.run_id, 400)


def ends_green(airflow: Airflow, dag: str, conf: Mapping[str, Any] | None = None, deadline: float = 400) -> DagRun:
    """Un-pause the DAG, trigger it without a logical date, as its form opens if `conf` says nothing, and wait."""
    airflow.await_dag(dag)
    airflow.set_paused(dag, False)
    run = airflow.trigger(dag, conf=conf)
    assert run.logical_date is None
    ended = airflow.await_run(dag, run.run_id, deadline)
    failed = [task.task_id for task in airflow.tasks(dag, run.run_id) if task.state == "failed"]
    assert (ended.state, failed) == ("success", [])
    return ended


def versions(manifest: Manifest) -> dict[str, int]:
    """Version of every table."""
    from lakehouse.delta import latest_version

    return {entry.name: latest_version(paths.table(entry.name)) for entry in manifest.entries}


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("platform")
    dags = home / "dags"
    dags.mkdir()
    for file in [
        *(PROJECT / "dags").glob("*.py"),
        *(HERE / f"{name}.py" for name in ("handwritten", "late", "consumer")),
    ]:
        shutil.copy(file, dags)
    with platform_at(home, airflow=True, dags=dags) as url:
        found = Platform(url, home, load(), Summary())
        found.summary = RecordingDemo(url, found).run(LAST)
        yield found


@pytest.fixture(scope="session")
def airflow(platform: Platform) -> Iterator[Airflow]:
    with Airflow(platform.url) as client:
        yield client


__all__ = ["DAG"]
