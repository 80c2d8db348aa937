"""Every table feature that a fast-forward could not carry is refused by its name, on branches and on tables."""

from __future__ import annotations

import json

import pytest

from lakehouse.delta import UnknownFeature, latest_version, store
from lakehouse.delta.log import commit_file, encode, read_commit
from lakehouse.delta.replay import files_at
from tests.deltas import Lake, new_file, work

LEGACY = {"minReaderVersion": 1, "minWriterVersion": 6}


def told(content, properties=None, column=None):
    """The table's metaData with properties added, or with metadata on its first column."""
    fields = json.loads(content["schemaString"])["fields"]
    fields[0]["metadata"] = column or {}
    schema = json.dumps({"type": "struct", "fields": fields})
    return {**content, "configuration": {**content["configuration"], **(properties or {})}, "schemaString": schema}


FEATURES = [
    ({"properties": {"delta.constraints.positive": "id > 0"}}, "check constraint 'positive'"),
    ({"column": {"delta.generationExpression": "1 + 1"}}, "'id' is generated"),
    ({"column": {"delta.identity.start": 1, "delta.identity.step": 1}}, "'id' is an identity column"),
    ({"column": {"delta.invariants": '{"expression": {"expression": "id > 0"}}'}}, "'id' has an invariant"),
    ({"properties": {"delta.enableDeletionVectors": "true"}}, "deletion vectors"),
    ({"properties": {"delta.enableRowTracking": "true"}}, "row tracking"),
    ({"properties": {"delta.enableInCommitTimestamps": "true"}}, "in-commit timestamps"),
    ({"properties": {"delta.columnMapping.mode": "name"}}, "column mapping"),
    ({"properties": {"delta.checkpointPolicy": "v2"}}, "v2 checkpoints"),
]
each_feature = pytest.mark.parametrize(("change", "named"), FEATURES, ids=[named for _, named in FEATURES])


@pytest.fixture
def lake(tmp_path):
    lake = Lake(f"{tmp_path}/t")
    lake.publish(lake.append((1, "a")))
    return lake


def metadata_of(path):
    return next(a["metaData"] for a in read_commit(path, 0) if "metaData" in a)


@each_feature
def test_a_branch_that_turned_it_on(lake, change, named):
    branch = lake.branch()
    work(branch, {"metaData": told(metadata_of(branch.path), **change)}, new_file(branch.path, [(2, "b")]))
    with pytest.raises(UnknownFeature, match=named):
        lake.publish(branch)
    assert latest_version(lake.path) == 0


@each_feature
def test_a_table_that_has_it(lake, change, named):
    actions = [{"protocol": LEGACY}, {"metaData": told(metadata_of(lake.path), **change)}]
    assert store.put_if_absent(commit_file(lake.path, 1), encode(actions))
    with pytest.raises(UnknownFeature, match=named):
        lake.branch()


def test_a_v2_checkpoint_in_the_log(lake):
    store.replace(f"{lake.path}/_delta_log/{0:020}.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json", b"{}")
    with pytest.raises(UnknownFeature, match="v2 checkpoint"):
        files_at(lake.path, 0)
