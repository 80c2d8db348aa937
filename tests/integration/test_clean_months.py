"""Where nothing is planted nothing is raised: months of shops without faults, whose gates pass and set nothing aside.

`make thorough` has three shops, a month each, and every table; here is one shop, some weeks, some tables.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakehouse import manifest, paths
from lakehouse.delta import read_rows
from lakehouse.sandbox.shop import ShopConfig
from tests.integration.attempt import warm_up
from tests.integration.chaos import daily, quietly
from tests.integration.conftest import lake_at
from tests.integration.test_chaos import SOME
from tests.shop import Sources, adopt

ALL = os.environ.get("LAKEHOUSE_WEEK") == "all"
SEEDS = (11, 12, 13) if ALL else (11,)
#: Evenings on which all since the last one is loaded; the first one early, for what was gone by then was never seen.
EVENINGS = (1, 8, 15, 22, 30) if ALL else (1, 5, 10, 15)


@pytest.mark.long(200)
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_raised(stand_ins: Path, tmp_path: Path, seed: int) -> None:
    """DQ-1: no rule fails, not even with a warning; CON-2: no row is set aside."""
    warm_up()
    sources = Sources(stand_ins, tmp_path / "sent", ShopConfig(seed=seed, faults=False))
    sources.clear()
    tables = [entry.name for entry in manifest.load().entries] if ALL else SOME
    with lake_at(tmp_path, stand_ins) as lake:
        adopt(lake.tables, *tables)
        for evening in EVENINGS:
            sources.live(evening)
            quietly(daily(evening), tmp_path / "said.txt")
        checks = read_rows(paths.ops("quality"))
        assert {row["table"] for row in checks} == {entry.name for entry in manifest.load().scheduled().entries}
        assert [(row["table"], row["rule"], row["observed"]) for row in checks if not row["success"]] == []
        assert read_rows(paths.ops("quarantine")) == []
    sources.clear()
