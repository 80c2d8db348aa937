"""Whether landed numbers repeat, told from their files without Spark: never a wrong "each is there once"."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.bronze import repeated
from lakehouse.bronze.repeated import distinct


def files(folder: Path, *columns: list[int | None], kind: pa.DataType | None = None, **options: object) -> list[str]:
    paths = []
    for number, values in enumerate(columns):
        rows = pa.table({"other": [""] * len(values), "n": pa.array(values, kind or pa.int64())})
        pq.write_table(rows, path := folder / f"{number}.parquet", row_group_size=3, **options)
        paths.append(str(path))
    return paths


near = st.integers(-20, 20)


@given(st.lists(st.lists(near | st.none(), min_size=1, max_size=8), min_size=1, max_size=3))
def test_numbers_that_lie_close_together(
    tmp_path_factory: pytest.TempPathFactory, columns: list[list[int | None]]
) -> None:
    found = distinct(files(tmp_path_factory.mktemp("f"), *columns), "n")
    every = [value for values in columns for value in values]
    each_once = None not in every and len(set(every)) == len(every)
    if found:
        assert each_once
    elif each_once:
        assert max(every) - min(every) >= repeated.APART * len(every)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64()])
def test_of_every_type(tmp_path: Path, kind: pa.DataType) -> None:
    assert distinct(files(tmp_path, [-128, -127, -126], [-125], kind=kind), "n")
    assert not distinct(files(tmp_path, [-128, -127, -126], [-126], kind=kind), "n")


def test_at_the_ends_of_the_range(tmp_path: Path) -> None:
    last = 2**63 - 1
    assert distinct(files(tmp_path, [last, last - 1]), "n")
    assert distinct(files(tmp_path, [-last - 1, -last]), "n")
    assert not distinct(files(tmp_path, [-last - 1, last]), "n")


def test_no_more_memory_than_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "SPAN", 4)
    assert distinct(files(tmp_path, [1, 2, 3, 4]), "n")
    assert not distinct(files(tmp_path, [1, 2, 3, 5]), "n")


def test_without_statistics_nothing_is_told(tmp_path: Path) -> None:
    assert not distinct(files(tmp_path, [1, 2], write_statistics=False), "n")


@pytest.mark.parametrize("folder", ["plain", "with space", "per%41cent", "ä+b"])
@pytest.mark.parametrize("name", ["plain", "with space", "per%41cent", "ä+b#c?d"])
def test_wherever_the_files_are(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir()
    (file,) = files(tmp_path / folder, [1, 2, 3])
    named = Path(file).rename(tmp_path / folder / f"{name}.parquet")
    assert distinct([str(named)], "n")
