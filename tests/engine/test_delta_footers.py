"""Footers of a branch's files are read on every store, whatever a folder of theirs is called."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.delta import ColumnSpec, TableSpec, latest_version, open_branch, store, tell
from lakehouse.delta.replay import active_files
from tests.deltas import work

SPEC = TableSpec(
    (ColumnSpec("n", "BIGINT"), ColumnSpec("city", "STRING")),
    partition_by=("city",),
    properties={"delta.dataSkippingStatsColumns": "`n`"},
)


@pytest.mark.parametrize("folder", ["city=Wien", "city=a%2Fb", "city=100%25", "city=ü +"])
def test_of_a_partition(root, folder):
    branch = open_branch(f"{root}/t", f"{root}/t/_branch/b/1", SPEC, "append")
    buffer = io.BytesIO()
    pq.write_table(pa.table({"n": [4, 2]}), buffer)
    store.replace(f"{branch.path}/{folder}/one.parquet", buffer.getvalue())
    file = {"path": store.encoded(f"{folder}/one.parquet"), "partitionValues": {"city": "?"}, "size": buffer.tell()}
    work(branch, {"add": {**file, "modificationTime": 1, "dataChange": True}})
    assert tell(branch) == 2
    (told,) = active_files(branch.path, latest_version(branch.path))
    assert json.loads(told["stats"])["minValues"] == {"n": 2}
