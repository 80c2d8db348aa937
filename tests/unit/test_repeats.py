"""Whether numbers repeat: never a wrong "each is there once", whatever their ends were said to be."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.repeats import each_once

near = st.integers(-9, 9)


@given(st.lists(st.lists(near | st.none(), max_size=6), max_size=4))
def test_each_once(columns: list[list[int | None]]) -> None:
    known = [value for values in columns for value in values if value is not None]
    arrays = [pa.array(values, pa.int64()) for values in columns]
    assert each_once(arrays, -9, 9) == (len(known) if len(set(known)) == len(known) else None)


@given(st.lists(near, max_size=8), near, st.integers(0, 9))
def test_beyond_what_was_said_nothing_wrong_is_told(values: list[int], low: int, width: int) -> None:
    if each_once([pa.array(values, pa.int64())], low, low + width) is not None:
        assert len(set(values)) == len(values)


@pytest.mark.parametrize("kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64()])
def test_of_every_type(kind: pa.DataType) -> None:
    assert each_once([pa.array([-128, None, -127], kind), pa.array([], kind), pa.array([127], kind)], -128, 127)
    assert not each_once([pa.array([-128, None], kind), pa.array([-128], kind)], -128, 127)


def test_at_the_ends_of_the_range() -> None:
    first, last = -(2**63), 2**63 - 1
    assert each_once([pa.array([last, last - 1])], last - 1, last)
    assert not each_once([pa.array([first, first])], first, first + 1)
