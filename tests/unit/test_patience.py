"""A session waits for a server that stumbles, and not again for one that is gone."""

from __future__ import annotations

import grpc
import pytest
from pyspark.sql.connect.client.retries import Retrying

from lakehouse.spark.patience import patience


class Unavailable(grpc.RpcError):  # type: ignore[misc]
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def trailing_metadata(self) -> tuple[()]:
        return ()


def test_after_waiting_in_vain_no_statement_of_the_session_waits() -> None:
    waits: list[float] = []
    policy, fails = patience(), 3

    def statement() -> str:
        nonlocal fails
        for attempt in Retrying(policy, sleep=waits.append):
            with attempt:
                if fails:
                    fails -= 1
                    raise Unavailable
                return "answer"
        raise AssertionError

    assert statement() == "answer"
    assert len(waits) == 3
    fails = 100
    waits.clear()
    with pytest.raises(Unavailable):
        statement()
    assert len(waits) == 6
    assert 4 < sum(waits) < 15
    with pytest.raises(Unavailable):
        statement()
    assert len(waits) == 6
