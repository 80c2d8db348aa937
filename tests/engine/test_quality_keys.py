"""Keys are read on every store, from the files of a table and of its branch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from lakehouse.contracts import Column, Rule
from lakehouse.delta import ColumnSpec, TableSpec, append_rows, open_branch, statistics
from lakehouse.quality.keys import with_keys
from lakehouse.quality.known import Known
from lakehouse.quality.statistics import with_statistics
from tests.unit.test_quality_measure import contract

RULE = Rule("id_unique", "unique", ("id",))
CONTRACT = replace(contract(RULE), columns=(Column("id", "BIGINT"), Column("city", "STRING")))
SPEC = TableSpec((ColumnSpec("id", "BIGINT"), ColumnSpec("city", "STRING")), partition_by=("city",))


def unique(path: str) -> bool:
    told = statistics(path)
    found = with_keys(with_statistics(Known(), CONTRACT, told), CONTRACT, path, told)
    assert not found.dense
    return "id_unique" in found.counted


def test_of_a_branch_in_partitions_with_odd_names(root: Any) -> None:
    table = f"{root}/a table"
    cities = ["Wien", "a/b", "100%", "ü +"]
    append_rows(table, pa.table({"id": [1, 2, 3, 4], "city": cities}), partition_by=("city",))
    branch = open_branch(table, f"{table}/_branch/b/1", SPEC, "clone")
    append_rows(branch.path, pa.table({"id": [5, 6], "city": cities[:2]}), partition_by=("city",))
    assert unique(branch.path)
    append_rows(branch.path, pa.table({"id": [4], "city": ["Wien"]}), partition_by=("city",))
    assert not unique(branch.path)
    assert unique(table)
