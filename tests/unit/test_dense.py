"""Which keys are dense, by the statistics of tables on disk."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.contracts import Column, Rule
from lakehouse.delta import Span, span
from lakehouse.quality import dense as module
from lakehouse.quality.dense import dense
from tests.unit.test_quality_measure import contract

UNIQUE = Rule("id_unique", "unique", ("id",))


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch):
    monkeypatch.setattr(module, "MANY", 4)


def table(path, *files):
    for values in files:
        write_deltalake(path, pa.table({"id": pa.array(values, pa.int64()), "other": [1] * len(values)}), mode="append")
    return str(path)


def found(path, rule=UNIQUE, kind="BIGINT"):
    return dense(replace(contract(rule), columns=(Column("id", kind), Column("other", "BIGINT"))), path)


@pytest.mark.parametrize(
    ("files", "close"),
    [
        ([[1, 2], [3, 4]], True),
        ([[-3, -2], [0, 25]], True),
        ([[1, 2], [3, 4 * 8]], True),
        ([[1, 2], [3, 4 * 8 + 1]], False),
        ([[1, 2, 3]], False),
    ],
)
def test_close_together_and_many(tmp_path, files, close):
    assert found(table(tmp_path / "t", *files)) == ({"id_unique"} if close else set())


def test_what_needs_a_count_or_has_no_bits(tmp_path):
    path = table(tmp_path / "t", [1, 2, 3, 4])
    assert found(path, Rule("id_unique", "unique", ("id",), params={"mustBeLessThan": 3, "unit": "rows"})) == set()
    assert found(path, Rule("id_unique", "unique", ("id", "other"))) == set()
    assert found(path, kind="DECIMAL(18,0)") == set()


def test_a_span_is_known_only_where_every_file_tells(tmp_path):
    path = table(tmp_path / "t", [5, 7], [None, 9])
    assert span(path, "id") == Span(5, 9, 4)
    assert span(table(tmp_path / "t", [None, None]), "id") is None
    assert span(path, "no_such") is None
    assert span(str(tmp_path / "nothing"), "id") is None
