"""How many examples a property test tries, and which of the long tests are run.

A few examples with every run, each time others; `make thorough` for very many.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.sample import (
    pytest_collection_modifyitems,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

#: Times are for tests with a limit of their own; a fixture that lasts for all examples of a test is meant so.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=15, **COMMON)
settings.register_profile("thorough", max_examples=400, **COMMON)
settings.load_profile("quick")
