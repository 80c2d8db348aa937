"""The daily run whole, by the real scheduler, with the lake on S3: one setting, and local mode's content."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse import paths
from lakehouse.books import books
from lakehouse.delta import store
from lakehouse.manifest import load
from lakehouse.sandbox.demo import Demo, Summary
from tests import oracle
from tests.e2e.conftest import Platform
from tests.platform import platform_at

pytestmark = pytest.mark.long(600)

DAYS = 2


def content(versions: dict[str, int | None]) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of every table of the daily run at these versions, operational columns aside, sorted."""
    found = {}
    for name, version in versions.items():
        table = store.delta_table(paths.table(name), version).to_pyarrow_table()
        columns = [column for column in table.column_names if not column.startswith("_")]
        found[name] = oracle.ask("SELECT * FROM t ORDER BY ALL", {"t": table.select(columns)})
    return found


def set_aside(lines: list[dict[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """Table, landed row and reasons of rows of quarantine, sorted."""
    return sorted((line["table"], line["row"], list(line["reasons"])) for line in lines)


def lanes() -> list[dict[str, Any]]:
    """Every line of every error lane."""
    top = f"{paths.lake()}/_errors"
    return [json.loads(line) for file in store.walk(top) for line in store.read(f"{top}/{file.name}").splitlines()]


@pytest.fixture(scope="module")
def local(platform: Platform) -> dict[str, list[tuple[Any, ...]]]:
    """Local mode's content after the second day."""
    scheduled = platform.manifest.scheduled().entries
    return content({entry.name: platform.versions[DAYS][entry.name] for entry in scheduled})


@pytest.fixture(scope="module")
def on_s3(
    platform: Platform, local: dict[str, list[tuple[Any, ...]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Summary]]:
    """A platform of its own for the same days; this process looks into its lake."""
    home = tmp_path_factory.mktemp("platform-s3")
    # Another key would give other tokens.
    (home / "sandbox").mkdir()
    shutil.copy(platform.home / "sandbox" / "secrets.json", home / "sandbox")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_LAKE", "s3a://lakehouse/lake")
        with platform_at(home, airflow=True) as url:
            yield home, Demo(url, lambda phase, what: None).run(DAYS)


@pytest.mark.timeout(2400)  # Alone, it waits for both platforms.
def test_every_run_is_green_and_nothing_lies_on_a_disk(on_s3: tuple[Path, Summary]) -> None:
    home, summary = on_s3
    assert summary.ok, summary.runs
    assert [run["state"] for run in summary.runs] == ["success"] * DAYS
    assert not (home / "lake").exists()
    found = {file.name.partition("/")[0] for file in store.walk(paths.lake())}
    assert found >= {"bronze", "silver", "gold", "ops", "_landing", "_errors"}


def test_every_table_has_local_modes_content(
    on_s3: tuple[Path, Summary], local: dict[str, list[tuple[Any, ...]]]
) -> None:
    there = content(dict.fromkeys(local))
    assert {name for name, rows in there.items() if rows != local[name]} == set()
    assert min(map(len, local.values())) > 0


def test_quarantine_lanes_and_books_are_in_order(on_s3: tuple[Path, Summary]) -> None:
    held = store.delta_table(paths.ops("quarantine")).to_pyarrow_table().to_pylist()
    assert set_aside(lanes()) == set_aside(held)
    assert held
    for entry in load().scheduled().layer("bronze"):
        assert books(entry.name).faults == ()


def test_no_personal_data_is_in_the_bucket(on_s3: tuple[Path, Summary], platform: Platform) -> None:
    """In no object that is text."""
    people = oracle.ask(
        "SELECT email, full_name FROM c WHERE email LIKE '%@%'", {"c": platform.sources[DAYS]["customers"]}
    )
    needles = [text.encode() for row in people[:40] for text in row if text]
    texts = [file.name for file in store.walk(paths.lake()) if not file.name.endswith(".parquet")]
    assert len(texts) > 100
    for name in texts:
        text = store.read(f"{paths.lake()}/{name}")
        assert not [needle for needle in needles if needle in text], name
