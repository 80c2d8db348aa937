"""The REST client: tokens, pages, and errors, against a fake transport."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx
import pytest

from lakehouse.sandbox.errors import AirflowRefused
from lakehouse.sandbox.rest import Airflow

RUN = {
    "dag_id": "d", "dag_run_id": "a+b/c", "state": "success", "run_type": "manual", "logical_date": None,
    "data_interval_start": None, "data_interval_end": None, "start_date": "2026-01-01T00:00:00Z", "end_date": None,
}  # fmt: skip


def client(answer) -> Airflow:
    api = Airflow("http://127.0.0.1:1")
    api._http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer))
    return api


def test_a_token_is_fetched_when_asked_for_and_again_when_it_has_run_out():
    valid = ["t1"]
    logins = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            logins.append(valid[-1])
            return httpx.Response(201, json={"access_token": valid[-1]})
        if request.headers.get("Authorization") != f"Bearer {valid[-1]}":
            return httpx.Response(401)
        return httpx.Response(200, json={"import_errors": [], "total_entries": 0})

    api = client(answer)
    api.import_failures()
    api.import_failures()
    valid.append("t2")
    api.import_failures()
    assert logins == ["t1", "t2"]


def test_a_run_id_is_quoted_and_times_are_aware():
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200, json=RUN)

    run = client(answer).dag_run("d", "a+b/c")
    assert seen == ["/api/v2/dags/d/dagRuns/a%2Bb%2Fc"]
    assert run.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert run.logical_date is None


def test_every_page_is_read():
    def answer(request: httpx.Request) -> httpx.Response:
        offset = int(request.url.params["offset"])
        rows = [{**RUN, "dag_run_id": str(i)} for i in range(offset, min(offset + 100, 250))]
        return httpx.Response(200, json={"dag_runs": rows, "total_entries": 250})

    assert [run.run_id for run in client(answer).dag_runs("d")] == [str(i) for i in range(250)]


def test_a_trigger_says_what_it_was_told():
    bodies = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=RUN)

    day = datetime(2026, 1, 2, tzinfo=UTC)
    api = client(answer)
    api.trigger("d")
    api.trigger("d", "r", day, (datetime(2026, 1, 1, tzinfo=UTC), day), {"k": 1})
    assert bodies[0] == {"logical_date": None, "conf": {}}
    assert bodies[1] == {
        "dag_run_id": "r", "logical_date": "2026-01-02T00:00:00+00:00", "conf": {"k": 1},
        "data_interval_start": "2026-01-01T00:00:00+00:00", "data_interval_end": "2026-01-02T00:00:00+00:00",
        "run_after": "2026-01-02T00:00:00+00:00",
    }  # fmt: skip


def test_an_import_error_is_the_answer_to_a_dag_that_does_not_come():
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/importErrors"):
            failure = {"filename": "broken.py", "stack_trace": "NameError: name 'frob'"}
            return httpx.Response(200, json={"import_errors": [failure], "total_entries": 1})
        return httpx.Response(404, json={"detail": "not found"})

    with pytest.raises(AirflowRefused, match=r"(?s)no DAG 'd'; broken.py does not import.*frob"):
        client(answer).await_dag("d", deadline=5, patience=0)


def test_a_refusal_carries_airflows_words():
    api = client(lambda request: httpx.Response(409, json={"detail": "already exists"}))
    with pytest.raises(AirflowRefused, match=r"409.*already exists"):
        api.trigger("d", "r")


def test_nobody_at_the_address_is_an_error_with_a_remedy():
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(AirflowRefused, match="does not answer") as caught:
        client(answer).dag_runs("d")
    assert "sandbox status" in caught.value.remedy
