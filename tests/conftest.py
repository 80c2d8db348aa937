"""How many examples a property test tries, and which files begin first.

A few examples with every run, each time others; `make thorough` for very many.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

#: Files that take minutes, the longest first: two workers share them, and neither is left alone with one at the end.
LONGEST = (
    "integration/test_stream.py",
    "integration/test_backfill.py",
    "integration/test_chaos.py",
    "integration/test_kill_points.py",
    "integration/test_week.py",
    "integration/test_pipeline.py",
    "integration/test_gate.py",
    "spark/test_increment.py",
    "spark/test_delta_month.py",
    "spark/test_delta_engine.py",
    "spark/test_delta_publish.py",
    "spark/test_delta_readers.py",
    "engine/test_delta_race.py",
)

#: Times are for tests with a limit of their own; a fixture that lasts for all examples of a test is meant so.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=15, **COMMON)
settings.register_profile("thorough", max_examples=400, **COMMON)
settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(f"{item.path.parent.name}/{item.path.name}", len(order)))
