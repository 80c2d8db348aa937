"""Overrides (DQ-5): for one candidate alone, by name and with a reason, used by one run, on record."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lakehouse import paths
from lakehouse.delta import read_rows
from lakehouse.quality import GateResult, RuleResult, record
from lakehouse.quality.found import found
from lakehouse.quality.override import OverrideRefused, grant, use

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HELD, OTHER = "c0ffee" + "0" * 58, "bad" + "1" * 61


@pytest.fixture(autouse=True)
def lake(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "lake", lambda: str(tmp_path / "lake"))


def audited(candidate=HELD, failed=("size_known",), warned=(), at=T0):
    rules = [RuleResult(name, "row", "critical", False, 1, "1 failing row", "") for name in failed]
    rules += [RuleResult(name, "row", "warning", False, 1, "1 failing row", "") for name in warned]
    rules += [RuleResult("few", "row_count", "critical", True, None, "9 rows", "", 9.0)]
    result = GateResult("gold.parcels", "b-1", "r-1", not failed, tuple(rules), 0.1, candidate)
    record(result, checked_ts=at)


def granted():
    return grant("gold.parcels", "c0ffee", "ann", "wrong, and known to all readers")


def used(run="r-1", candidate=HELD, failed=("size_known",)):
    return use("gold.parcels", candidate, failed, "b-1", run)


def test_it_lets_that_candidate_through_once_and_is_on_record():
    audited()
    assert used() is None
    given = granted()
    assert (given.candidate, given.failed, given.by) == (HELD, ("size_known",), "ann")
    assert used() == given
    assert used() == given, "a retry of the run that used it"
    assert used(run="r-2") is None
    rows = sorted(read_rows(paths.ops("overrides")), key=lambda row: row["ts"])
    assert [(r["event"], r["by"], r["reason"], r["run_id"]) for r in rows] == [
        ("granted", "ann", "wrong, and known to all readers", ""),
        ("used", "ann", "wrong, and known to all readers", "r-1"),
    ]


def test_it_lets_nothing_else_through():
    audited()
    audited(OTHER)
    granted()
    assert used(candidate=OTHER) is None
    assert use("gold.others", HELD, ["size_known"], "b-1", "r-1") is None
    assert used(failed=("size_known", "references")) is None, "what nobody knew of"
    assert not [r for r in read_rows(paths.ops("overrides")) if r["event"] == "used"]


@pytest.mark.parametrize(
    ("candidate", "by", "reason", "told"),
    [
        ("c0ffee", "ann", " ", "without a name and a reason"),
        ("c0ffee", "", "why not", "without a name and a reason"),
        ("beef", "ann", "why not", "no candidate that failed its gate begins with 'beef'"),
        ("", "ann", "why not", "no candidate"),
        ("900d", "ann", "why not", "no candidate"),
    ],
)
def test_what_is_refused(candidate, by, reason, told):
    audited()
    audited("900d" + "2" * 60, failed=(), warned=("light",))
    with pytest.raises(OverrideRefused, match=told):
        grant("gold.parcels", candidate, by, reason)
    assert not read_rows(paths.ops("overrides"))


def test_a_beginning_that_two_share_names_none():
    audited("aa" + "1" * 62)
    audited("aa" + "2" * 62)
    with pytest.raises(OverrideRefused, match="several candidates"):
        grant("gold.parcels", "aa", "ann", "why not")


def test_it_is_granted_once():
    audited()
    granted()
    with pytest.raises(OverrideRefused, match="was overridden before"):
        granted()


def test_what_was_found_is_the_latest_or_the_candidates():
    audited()
    audited(OTHER, failed=("references",), at=T0.replace(hour=5))
    assert [row["rule"] for row in found("gold.parcels")] == ["references", "few"]
    assert [row["rule"] for row in found("gold.parcels", "c0ffee")] == ["size_known", "few"]
    assert found("gold.others") == []
