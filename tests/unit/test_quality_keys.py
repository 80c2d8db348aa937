"""Unique keys that the candidate's files tell: as the rows have them, on tables and branches, in whole and in part."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contracts import Column, Rule
from lakehouse.delta import (
    ColumnSpec,
    TableSpec,
    UnknownFeature,
    added_rows,
    diff,
    files_in,
    numbers,
    open_branch,
    statistics,
)
from lakehouse.quality import keys
from lakehouse.quality.keys import with_keys
from lakehouse.quality.known import Known
from lakehouse.quality.part import confined
from lakehouse.quality.statistics import with_statistics
from tests.deltas import work
from tests.unit.test_quality_measure import contract

RULE = Rule("id_unique", "unique", ("id",))
CONTRACT = replace(contract(RULE), columns=(Column("id", "BIGINT"), Column("day", "STRING")))
SPEC = TableSpec((ColumnSpec("id", "BIGINT"), ColumnSpec("day", "STRING")))


def append(path: str, values: list[int | None], **options: Any) -> None:
    rows = pa.table({"id": pa.array(values, pa.int64()), "day": ["a:b %"] * len(values)})
    write_deltalake(path, rows, mode="append", **options)


def unique(path: str, known: Known | None = None) -> bool | None:
    """Whether it is told that there are no repeated keys; None where Spark is asked whether there are."""
    told = statistics(path)
    known = known or with_statistics(Known(), CONTRACT, told)
    found = with_keys(known, CONTRACT, path, told)
    assert found.counted.get("id_unique", 0) == 0
    clean, asked = "id_unique" in found.counted, "id_unique" in found.dense
    assert not (clean and asked)
    return None if asked or not known.dense else clean


near = st.integers(-9, 9) | st.none()
files = st.lists(st.lists(near, min_size=1, max_size=4), min_size=1, max_size=3)


def repeated(values: list[int | None]) -> set[int]:
    return {value for value, times in Counter(values).items() if value is not None and times > 1}


@given(files, files)
def test_on_a_branch(tmp_path_factory: pytest.TempPathFactory, before: Any, added: Any) -> None:
    """In whole: any value that is there twice. In part: one within the bounds of what was added."""
    table = str(tmp_path_factory.mktemp("lake") / "my table")
    for values in before:
        append(table, values)
    branch = open_branch(table, f"{table}/_branch/b/1", SPEC, "clone")
    for values in added:
        append(branch.path, values)
    old, new = (list(chain.from_iterable(columns)) for columns in (before, added))
    told = statistics(branch.path)
    assert told
    # Where no row has a key, files tell of no span, and Spark is asked.
    if told.span("id"):
        if any(value is not None for value in old):
            assert unique(table) is (not repeated(old))
        assert unique(branch.path) is (not repeated(old + new))
    path = added_rows(branch, diff(branch).added)
    tells = statistics(path)
    assert tells
    known = with_statistics(Known(), CONTRACT, told)
    part = replace(known, part=confined(CONTRACT, ["id_unique"], path, told.rows or 0, tells))
    ends = [value for value in new if value is not None]
    if ends:
        within = [value for value in old + new if value is not None and min(ends) <= value <= max(ends)]
        assert unique(branch.path, part) is (not repeated(within))


def test_where_nothing_was_added_nothing_new_repeats(tmp_path: Path) -> None:
    table = str(tmp_path / "t")
    append(table, [1, 1])
    branch = open_branch(table, f"{table}/_branch/b/1", SPEC, "clone")
    told = statistics(branch.path)
    path = added_rows(branch, ())
    added = statistics(path)
    assert told
    assert added
    part = confined(CONTRACT, ["id_unique"], path, 2, added)
    assert unique(branch.path, replace(with_statistics(Known(), CONTRACT, told), part=part))
    assert not unique(branch.path)


def test_of_a_partitioned_table_with_names_that_are_escaped(tmp_path: Path) -> None:
    table = str(tmp_path / "t")
    append(table, [1, 2], partition_by=["day"])
    assert unique(table)
    branch = open_branch(table, f"{table}/_branch/b/1", replace(SPEC, partition_by=("day",)), "clone")
    append(branch.path, [3])
    assert unique(branch.path)
    append(branch.path, [2])
    assert not unique(branch.path)


def test_of_far_ends_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(table := str(tmp_path / "t"), [1, 5])
    monkeypatch.setattr(keys, "SPAN", 5)
    assert unique(table)
    monkeypatch.setattr(keys, "SPAN", 4)
    assert unique(table) is None


def test_many_files_are_left_to_many_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        append(table := str(tmp_path / "t"), [number])
    monkeypatch.setattr(keys, "FILES", 3)
    assert unique(table)
    monkeypatch.setattr(keys, "FILES", 2)
    assert unique(table) is None


def rewritten(table: str, **said: Any) -> None:
    """The first file's statistics say other things."""
    commit = Path(table) / "_delta_log" / f"{0:020}.json"
    actions = [json.loads(line) for line in commit.read_text().splitlines()]
    for action in actions:
        if "add" in action:
            action["add"]["stats"] = json.dumps({**json.loads(action["add"]["stats"]), **said})
    commit.write_text("\n".join(map(json.dumps, actions)) + "\n")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, 2, 9, 9], {"maxValues": {"id": 5}}),
        ([1, 2, 9, 9], {"minValues": {"id": 9}}),
        ([1, 2, 3], {"numRecords": 4}),
        ([1, None, 3], {"nullCount": {"id": 0, "day": 0}}),
    ],
)
def test_false_statistics_make_no_key_unique(tmp_path: Path, values: list[int | None], said: dict[str, Any]) -> None:
    append(table := str(tmp_path / "t"), values)
    rewritten(table, **said)
    assert not unique(table)


def test_what_a_branch_removes_is_not_looked_at(tmp_path: Path) -> None:
    table = str(tmp_path / "my table")
    append(table, [1, 2])
    append(table, [2, 3])
    branch = open_branch(table, f"{table}/_branch/b/1", SPEC, "clone")
    assert unique(branch.path) is False
    first = next(file for file in files_in(branch.path) if '"id":3' not in file["stats"].replace(" ", ""))
    work(branch, {"remove": {"path": first["path"], "deletionTimestamp": 1, "dataChange": True}})
    assert unique(branch.path) is True
    append(branch.path, [3])
    assert unique(branch.path) is False


def test_a_column_that_came_later(tmp_path: Path) -> None:
    """Files from before have none of it, and say nothing of it: whether that is so is Spark's to say."""
    table = str(tmp_path / "t")
    write_deltalake(table, pa.table({"day": ["a"]}))
    append(table, [1, 2], schema_mode="merge")
    assert unique(table) is None
    assert [n for array in numbers(table, "id") for n in array.to_pylist()] in ([None, 1, 2], [1, 2, None])


def test_a_column_that_partitions_is_in_no_file(tmp_path: Path) -> None:
    append(table := str(tmp_path / "t"), [1, 2], partition_by=["id"])
    assert unique(table) is None
    with pytest.raises(UnknownFeature):
        list(numbers(table, "id"))


def test_files_without_such_numbers_are_not_opened(tmp_path: Path) -> None:
    table = str(tmp_path / "t")
    append(table, [1, 2])
    (first,) = Path(table).glob("*.parquet")
    append(table, [8, None, 9, 12])
    first.unlink()
    assert [n for array in numbers(table, "id", (9, 11)) for n in array.to_pylist()] == [9]
    with pytest.raises(FileNotFoundError):
        list(numbers(table, "id", (2, 9)))
