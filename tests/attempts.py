"""Attempts at one thing each, each run in a process of its own so that it can be killed.

A server that has imported everything forks them: starting Python sixty times would take minutes.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from datetime import timedelta

import boto3  # noqa: F401 - for those who are forked
import deltalake  # noqa: F401
import pyarrow.dataset  # noqa: F401

from lakehouse.delta import Branch, collect, drop_branch, fast_forward, revert
from tests.deltas import Lake

DAY = timedelta(days=1)


def opening(lake):
    """Open a branch, load two rows, publish."""
    publishing(lake, lake.append((100, "new"), (101, "new"), name="attempt"))


def publishing(lake, branch=None):
    """Publish the batch, whatever attempt's branch there is."""
    branch = branch or lake.append((100, "new"), (101, "new"), name="attempt")
    fast_forward(branch, "batch", 1, {})


def dropping(lake, branch):
    drop_branch(Branch.from_json(branch))


def collecting(lake):
    collect(lake.path, DAY, now=time.time() + 8 * DAY.total_seconds())


def reverting(lake):
    revert(lake.path, 9, {"why": "a test"})


ATTEMPTS = {"branch": opening, "publish": publishing, "drop": dropping, "collect": collecting, "revert": reverting}


def _run(environment, what, path, *more):
    os.environ.update(environment)
    ATTEMPTS[what](Lake(path), *more)


def attempt(lake, what, *more, kill=""):
    """One attempt in a process of its own; it must die at the point, or end well."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    told = {name: os.environ[name] for name in ("AIRFLOW_CONN_AWS_DEFAULT",) if name in os.environ}
    process = context.Process(target=_run, args=({**told, "LAKEHOUSE_KILL_POINT": kill}, what, lake.path, *more))
    process.start()
    process.join(120)
    assert process.exitcode == (-9 if kill else 0)
