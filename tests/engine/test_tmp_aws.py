import os, json, uuid
from tests.stores import *
import pytest
from lakehouse import aws, manifest, provision
from lakehouse.config import settings

@pytest.fixture
def target(s3, monkeypatch):
    monkeypatch.setenv("LAKEHOUSE_CONFIG","aws"); settings.cache_clear()
    yield
    settings.cache_clear()

def test_it(target):
    w = provision.desired(manifest.load())
    changes = provision.plan(w)
    print(len(changes), {c.kind.name for c in changes})
    done = provision.apply(w)
    left = provision.plan(provision.desired(manifest.load()))
    for c in left[:10]: print(json.dumps(c.to_row(), indent=1))
    assert not left
