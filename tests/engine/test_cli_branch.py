"""`lakehouse branch` and `lakehouse revert`, on tables written without Spark."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from lakehouse.cli import branch as cli
from lakehouse.cli import confirm
from lakehouse.cli.main import app
from lakehouse.delta import drop_branch, latest_version
from lakehouse.delta.compare import compare
from lakehouse.delta.log import commit_metadata
from tests.deltas import Lake, new_file, work


@pytest.fixture
def lake(root):
    lake = Lake(f"{root}/silver/t")
    branch = lake.append((1, "a", "1.50"), (2, "b", "2.00"))
    lake.publish(branch)
    drop_branch(branch)
    return lake


@pytest.fixture
def known(lake, monkeypatch):
    """The lake as the command line's only table."""
    monkeypatch.setattr(cli, "_tables", lambda only: ["ops.t"])
    monkeypatch.setattr("lakehouse.paths.table", lambda name: lake.path)
    return lake


def run(*words, **options):
    done = CliRunner().invoke(app, list(words), catch_exceptions=False, **options)
    assert done.exit_code == 0, done.output
    return done.output


def test_rows_are_compared_by_key(lake):
    branch = lake.rewrite(lambda rows: [(1, "changed", "1.50"), (3, "new", "5.00")])
    found = compare(branch, ("id",))
    assert (found.added, found.removed, found.changed, found.columns) == (1, 1, 1, ())
    assert {name: (str(a), str(b)) for name, (a, b) in found.sums.items()} == {"amount": ("3.50", "6.50")}


def test_rewritten_rows_are_no_change(lake):
    branch = lake.branch("clone")
    change = lake.rewrite(lambda rows: [(1, "a", "1.50"), (2, "b", "2.00")])
    found = compare(change, ("id",))
    assert (found.added, found.removed, found.changed) == (0, 0, 0)
    assert compare(branch, ("id",)).sums["amount"][0] == compare(branch, ("id",)).sums["amount"][1]


def test_an_append_and_a_new_table(lake, tmp_path):
    found = compare(lake.append((3, "c", "4.00")), ("id",))
    assert (found.added, found.removed, str(found.sums["amount"][1])) == (1, 0, "7.50")
    new = Lake(f"{tmp_path}/new")
    branch = new.branch("clone")
    work(branch, new_file(branch.path, [(1, "a")]))
    found = compare(branch, ("id",))
    assert (found.added, found.columns) == (1, ("id", "v", "amount"))


def test_branches_are_listed_shown_and_compared(known):
    opened, published = known.append((3, "c"), (4, "d")), known.append((5, "e"))
    known.publish(published, rebase_appends=True)
    rows = {row["branch"]: row for row in json.loads(run("branch", "list", "-o", "json"))}
    assert {rows[b.id[:12]]["state"] for b in (opened,)} == {"open"}
    assert (rows[opened.id[:12]]["rows"], rows[published.id[:12]]["state"]) == (2, "published")
    (shown,) = json.loads(run("branch", "show", opened.id[:8], "-o", "json"))
    assert (shown["path"], shown["files_added"]) == (opened.path, 1)
    told = {row["what"]: row["after"] for row in json.loads(run("branch", "diff", opened.id[:12], "-o", "json"))}
    assert told["rows added"] == 2
    with pytest.raises(cli.BranchUnknown):
        run("branch", "show", "zzz")


def test_collect_tells_what_it_did(known):
    known.append((3, "dead"))
    assert json.loads(run("branch", "collect", "--dry-run", "-o", "json")) == []
    assert len(json.loads(run("branch", "list", "-o", "json"))) == 1


def test_revert_asks_first(known):
    known.publish(known.append((3, "wrong")))
    with pytest.raises(confirm.NotConfirmed, match="--yes"):
        run("revert", "ops.t", "1")
    assert latest_version(known.path) == 1
    assert "1 rows removed" in run("revert", "ops.t", "1", "--yes", "--reason", "wrong rates")
    told = commit_metadata(known.path, 2)
    assert (told["reverts"], told["reason"]) == (1, "wrong rates")
    assert told["by"]
    assert "already" in run("revert", "ops.t", "1", "--yes")
    assert [i for i, _ in known.rows()] == [1, 2]


@pytest.mark.parametrize(("answer", "version"), [("n\n", 1), ("y\n", 2)])
def test_revert_on_a_terminal(known, monkeypatch, answer, version):
    known.publish(known.append((3, "wrong")))
    monkeypatch.setattr(confirm, "on_terminal", lambda: True)
    try:
        run("revert", "ops.t", "1", input=answer)
    except confirm.NotConfirmed:
        assert answer == "n\n"
    assert latest_version(known.path) == version
