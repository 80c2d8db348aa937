"""The kill matrix as it is committed tells of every case, and that each went well."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lakehouse.killpoints import POINTS
from tests.integration import kill_matrix
from tests.integration.kill_matrix import CASES, GOOD, SOURCED, WHOLE, WORKER, Told


def test_the_page_tells_of_every_case() -> None:
    lines = kill_matrix.PAGE.read_text().splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")][1:]
    assert [tuple(row[:3]) for row in rows] == [(case.table, case.who, case.where) for case in CASES]
    assert {row[-1] for row in rows} == {GOOD}


def test_every_source_dies_at_every_point_of_its_steps() -> None:
    steps = {"extract", "load", "quarantine", "gate", "batch", "watermark"}
    wanted = {point for point in POINTS if point.partition(".")[0] in steps}
    for table in SOURCED:
        assert {case.where for case in WORKER if case.table == table} == wanted


@pytest.mark.parametrize("seed", range(20))
def test_an_everyday_run_takes_one_source_whole_and_some_others(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_matrix, "ALL", False)
    monkeypatch.setattr(kill_matrix, "SEED", seed)
    chosen = kill_matrix.chosen()
    assert chosen == kill_matrix.chosen()
    assert {case for case in WORKER if case.table == WHOLE} < set(chosen) <= set(CASES)
    assert {case.who for case in chosen} == {"worker", "Spark"}
    assert len({case.table for case in chosen}) == 2
    assert len(set(chosen)) == len(chosen)


def test_a_page_is_written_as_it_is_read(tmp_path: Path) -> None:
    case = random.Random(1).choice(CASES)
    page = tmp_path / "page.md"
    kill_matrix.write([Told(case, "a branch", "committed", 1.25, GOOD)], "2026-01-02", 20, page)
    assert page.read_text().splitlines()[-1] == (
        f"| {case.table} | {case.who} | `{case.where}` | a branch | committed | 1.2 | {GOOD} |"
    )


def test_cases_run_again_replace_their_rows_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    kill_matrix.write([Told(case, "nothing", "", 0.0, "FAILED") for case in CASES], "2026-01-02", 20, page)
    again = Told(random.Random(1).choice(CASES), "a branch", "committed", 1.25, GOOD)
    kill_matrix.amend([again], "2026-01-03", page)
    kill_matrix.amend([again], "2026-01-04", page)
    lines = page.read_text().splitlines()
    assert [line for line in lines if line.endswith(f"| {GOOD} |")] == [again.line()]
    assert sum(line.endswith("| FAILED |") for line in lines) == len(CASES) - 1
    at = lines.index(f"Last run 2026-01-02: {len(CASES)} cases, 20 minutes on two cores, shop of seed 7.")
    assert lines[at + 1 : at + 4] == ["Run again on 2026-01-04: 1 of them.", "", lines[at + 3]]
