"""One Spark Connect server for the whole session of tests, on a free port, ended as a process group."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spark.hang import pytest_runtest_makereport, pytest_timeout_cancel_timer, pytest_timeout_set_timer

__all__ = ["pytest_runtest_makereport", "pytest_timeout_cancel_timer", "pytest_timeout_set_timer"]
HERE = Path(__file__).parent
#: Seconds of a test that is not marked long, four times what the longest takes.
LIMIT = 200


def pytest_collection_modifyitems(items):
    """Everything in this folder needs the server."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.spark)
            if not item.get_closest_marker("long"):
                item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory):
    """The endpoint of a running server (sc://localhost:port/;token=...); it ends with the tests."""
    from lakehouse.spark.local import served

    with served(tmp_path_factory.mktemp("connect-server"), small_data=True) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def connect_settings(connect_server):
    """This process's settings point at the server for as long as the tests run."""
    from lakehouse.config import settings

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_SPARK_REMOTE", connect_server)
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def shared_session(connect_settings):
    """The process's session, opened once."""
    from lakehouse.spark.session import session

    opened = session("tests")
    yield opened
    opened.stop()


@pytest.fixture
def spark(shared_session, connect_server, monkeypatch):
    """The session of the shared server, as product code opens it; a test that looks for it finds the server too."""
    from lakehouse.config import settings

    monkeypatch.setenv("LAKEHOUSE_SPARK_REMOTE", connect_server)
    settings.cache_clear()
    yield shared_session
    settings.cache_clear()
