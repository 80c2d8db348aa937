"""Two processes commit fifty times each to one table, maintenance comes between: no row is lost or there twice."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from lakehouse.delta import PublishConflict, commit_metadata, drop_branch, fast_forward, latest_version, store
from lakehouse.delta.log import commit_file, encode
from tests.deltas import Lake

#: Commits of each process. The stand-in for S3 takes 10 ms of CPU for every request, of which a commit makes thirty:
#: LAKEHOUSE_RACE=50 has the long race there too.
ROUNDS = {"disk": 50, "s3": int(os.environ.get("LAKEHOUSE_RACE", "8"))}
#: Seconds until a race that does not end has failed.
LIMIT = 1200


def append_all(path, rounds, writer, barrier, counts):
    """Rows (writer, n): appends that go on top of each other."""
    lake = Lake(path)
    barrier.wait(120)
    for n in range(rounds):
        branch = lake.append((writer * 1000 + n, "row"), name=f"w{writer}-{n}")
        fast_forward(branch, f"batch-{writer}-{n}", 1, {"writer": writer}, rebase_appends=True)
        if n % 10 == 9:
            # A retry of what is published is told so.
            assert fast_forward(branch, f"batch-{writer}-{n}", 1, {}, rebase_appends=True).already
        drop_branch(branch)
    counts.put(0)


def merge_all(path, rounds, writer, barrier, counts):
    """Each adds its row to all there are, in one new file: whoever comes second works again."""
    lake, redone = Lake(path, f"w{writer}-"), 0
    barrier.wait(120)
    for n in range(rounds):
        while True:
            branch = lake.rewrite(lambda rows, n=n: [*rows, (writer * 1000 + n, "row")])
            try:
                fast_forward(branch, f"batch-{writer}-{n}", 1, {"writer": writer})
                break
            except PublishConflict:
                redone += 1
            finally:
                drop_branch(branch)
    counts.put(redone)


def race(path, rounds, worker):
    """Two workers at once; what they counted."""
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(3), context.Queue()
    workers = [context.Process(target=worker, args=(path, rounds, n, barrier, counts)) for n in (1, 2)]
    for one in workers:
        one.start()
    barrier.wait(120)
    yield
    total = sum(counts.get(timeout=LIMIT) for _ in workers)
    for one in workers:
        one.join(60)
        assert one.exitcode == 0
    yield total


def maintain(lake, compact):
    """A commit that changes no row: all rows into one file, or (merges never let that through) one without files."""
    if not compact:
        data = encode([{"commitInfo": {"operation": "VACUUM END"}}])
        while not store.put_if_absent(commit_file(lake.path, latest_version(lake.path) + 1), data):
            pass
        return
    while True:
        branch = lake.rewrite(lambda rows: rows, data_change=False, operation="OPTIMIZE")
        try:
            lake.publish(branch, f"optimize-{branch.id}")
            return
        except PublishConflict:
            continue
        finally:
            drop_branch(branch)


@pytest.mark.long(25)
@pytest.mark.parametrize("worker", [append_all, merge_all])
def test_two_processes_and_maintenance(root, worker):
    lake = Lake(f"{root}/t")
    lake.seed(1)
    rounds = ROUNDS["s3" if lake.path.startswith("s3a:") else "disk"]
    going = race(lake.path, rounds, worker)
    next(going)
    deadline = time.monotonic() + LIMIT
    while latest_version(lake.path) < rounds // 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    maintain(lake, worker is append_all)
    redone = next(going)
    assert sorted(i for i, _ in lake.rows()) == [0, *range(1000, 1000 + rounds), *range(2000, 2000 + rounds)]
    writers = [told["writer"] for v in range(latest_version(lake.path) + 1) if (told := commit_metadata(lake.path, v))]
    assert (writers.count(1), writers.count(2)) == (rounds, rounds)
    assert worker is append_all or rounds < 50 or redone > 0, "they never met"
