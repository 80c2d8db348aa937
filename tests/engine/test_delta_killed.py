"""Killed at any point, by SIGKILL: the table is as it was before or after, and the next attempt ends right."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lakehouse.config import PROJECT
from lakehouse.delta import drop_branch, latest_version, store
from lakehouse.killpoints import POINTS
from tests.attempts import attempt, collecting
from tests.deltas import Lake

pytestmark = pytest.mark.long(45)

NEW = [(100, "new"), (101, "new")]
ENGINE = [p for p in POINTS if p.split(".")[0] in ("branch", "publish", "drop", "collect", "revert")]


def collected(lake):
    """The table goes on, and everything dead is collected: nothing is left but what it reads."""
    for n in (200, 201):
        branch = lake.append((n, "later"))
        lake.publish(branch)
        drop_branch(branch)
        collecting(lake)
    return lake.rows()


@pytest.fixture
def lake(root):
    """Ten versions, so that the next publish writes a checkpoint."""
    lake = Lake(f"{root}/t")
    lake.seed(10)
    return lake


OLD = [(n, "old") for n in range(10)]
LATER = [(200, "later"), (201, "later")]


#: On S3 those where its answer matters: the rest is the same code.
ON_S3 = ("publish.claimed", "publish.checked", "publish.committed", "drop.record_removed", "revert.committed")


def cases(*rooms):
    mine = [point for point in ENGINE if point.split(".")[0] in rooms]
    return [("disk", point) for point in mine] + [("s3", point) for point in mine if point in ON_S3]


@pytest.mark.parametrize(("root", "point"), cases("branch", "publish"), indirect=["root"])
def test_publishing(lake, point):
    attempt(lake, point.split(".")[0], kill=point)
    assert lake.rows() == (OLD + NEW if point in ("publish.committed", "publish.checkpointed") else OLD)
    attempt(lake, "publish")
    assert lake.rows() == OLD + NEW
    assert latest_version(lake.path) == 10
    assert collected(lake) == OLD + NEW + LATER
    assert len(lake.data()) == 3, "no file of the killed attempt is left"


@pytest.mark.parametrize("published", [False, True], ids=["unpublished", "published"])
@pytest.mark.parametrize(("root", "point"), cases("drop"), indirect=["root"])
def test_dropping(lake, point, published):
    if published and point == "drop.data_removed":
        pytest.skip("published data is not removed")
    branch = lake.append(*NEW)
    rows = OLD
    if published:
        lake.publish(branch)
        rows = OLD + NEW
    attempt(lake, "drop", branch.to_json(), kill=point)
    assert lake.rows() == rows
    attempt(lake, "drop", branch.to_json())
    assert lake.rows() == rows
    assert published or not [name for name in lake.files() if name.startswith("b1/")]
    assert collected(lake) == rows + LATER


@pytest.mark.parametrize(("root", "point"), cases("collect"), indirect=["root"])
def test_collecting(lake, point):
    lake.append(*NEW, name="dead")
    store.replace(f"{lake.path}/_branch/zombie/1/part-0.parquet", b"x")
    branch = lake.rewrite(lambda rows: rows)
    lake.publish(branch)
    drop_branch(branch)
    branch = lake.append(*NEW)
    lake.publish(branch)
    drop_branch(branch)
    attempt(lake, "collect", kill=point)
    assert lake.rows() == OLD + NEW
    attempt(lake, "collect")
    assert lake.rows() == OLD + NEW
    assert collected(lake) == OLD + NEW + LATER
    assert len(lake.data()) == 4, "one merged, three appended"


@pytest.mark.parametrize(("root", "point"), cases("revert"), indirect=["root"])
def test_reverting(lake, point):
    attempt(lake, "revert", kill=point)
    assert lake.rows() == (OLD[:9] if point == "revert.committed" else OLD)
    attempt(lake, "revert")
    assert (lake.rows(), latest_version(lake.path)) == (OLD[:9], 10)


def test_every_point_is_known_and_come_by():
    """The registry is what the code says, and each of its points is in a test above."""
    found = set()
    for file in (PROJECT / "include" / "lakehouse" / "delta").rglob("*.py"):
        for node in ast.walk(ast.parse(Path(file).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reach":
                found.add(ast.literal_eval(node.args[0]))
    assert found == set(ENGINE)
    assert len(set(POINTS)) == len(POINTS)
