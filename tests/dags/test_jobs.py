"""Transforms as batch jobs: what Airflow's operators ask of EMR Serverless and what they make of its answers.

The stand-in takes jobs, says SUCCESS at once and runs nothing: what the job leaves behind is left by the tests. States
that it never has are answers put into botocore, which checks every request against AWS's own model.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.amazon.aws.triggers.emr import EmrServerlessStartApplicationTrigger, EmrServerlessStartJobTrigger
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralError, TaskDeferralTimeout, TaskDeferred
from botocore.awsrequest import AWSResponse
from botocore.stub import Stubber

from lakehouse import aws, config, paths
from lakehouse.errors import ConfigError
from lakehouse.jobs import order
from lakehouse.jobs.package import build
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.sections import EmrJobs
from lakehouse_airflow.operators.emr import EmrTransformOperator
from lakehouse_airflow.operators.job import JobFailed
from tests.dags.test_policy import HEAVY, ROOT
from tests.stores import BUCKET, aws_endpoint, s3

__all__ = ["aws_endpoint", "s3"]
ROLE = "arn:aws:iam::123456789012:role/lakehouse-spark"
END = datetime(2025, 10, 2, tzinfo=UTC)
RUN = Run("lakehouse_daily/scheduled__2025-10-01", "scheduled", END, datetime(2025, 10, 1, tzinfo=UTC))
ARN = "arn:aws:emr-serverless:eu-west-1:123456789012:/applications/app0/jobruns/job0"
WHERE = {"applicationId": "app0", "jobRunId": "job0"}


@pytest.fixture
def lake(s3: str, aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A lake on the stand-in, a package beside it, an application that has started; all by the configuration."""
    placed = build().write(f"{s3}/packages")
    client = aws.client("emr-serverless", aws.access())
    application = client.create_application(name="lakehouse", releaseLabel="emr-7.13.0", type="SPARK")["applicationId"]
    # The stand-in does not know an application that never had a job.
    others = {"sparkSubmit": {"entryPoint": "s3://x/y.py"}}
    client.start_job_run(applicationId=application, executionRoleArn=ROLE, clientToken="x", jobDriver=others)
    jobs = EmrJobs(
        kind="emr_serverless",
        package=placed["manifest"],
        application=application,
        role=ROLE,
        logs=f"s3://{BUCKET}/logs/",
        conf={"spark.executor.cores": "4"},
    )
    loaded = config.load({"LAKEHOUSE_HOME": str(tmp_path / "home"), "LAKEHOUSE_CACHE": str(tmp_path / "cache")})
    told = replace(loaded, lake=f"{s3}/lake", jobs=jobs)
    monkeypatch.setattr(config, "load", lambda environ=None: told)
    config.settings.cache_clear()
    yield application
    config.settings.cache_clear()


def task(**more: Any) -> EmrTransformOperator:
    return EmrTransformOperator(task_id="transform", table="silver.products", **more)


def context(try_number: int = 1) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="lakehouse_daily", run_id="scheduled__2025-10-01", task_id="silver_products.transform", map_index=-1,
        try_number=try_number, xcom_push=lambda **_: None,
    )  # fmt: skip
    dag_run = SimpleNamespace(dag_id=ti.dag_id, run_id=ti.run_id, logical_date=RUN.start, run_type="scheduled")
    return {"ti": ti, "dag_run": dag_run, "data_interval_start": RUN.start, "data_interval_end": RUN.end}


def deferred(operator: EmrTransformOperator, told: dict[str, Any]) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(told)
    return caught.value


def batch(**more: Any) -> Batch:
    return Batch("silver.products", "b", 1, "a-1", RUN, END, **more)


def leave(operator: EmrTransformOperator, told: dict[str, Any], report: dict[str, Any]) -> None:
    """What the job would have left."""
    order.report(paths.job(operator.job_id_of(told)), report)


def event_of(trigger: Any) -> dict[str, Any]:
    """What the trigger says at last, made anew from what the database keeps of it."""
    name, fields = trigger.serialize()
    again = EmrServerlessStartJobTrigger(**json.loads(json.dumps(fields)))
    assert (name, fields) == again.serialize()
    assert name.rpartition(".")[2] == type(trigger).__name__

    async def first() -> Any:
        return await anext(again.run())

    return asyncio.run(first()).payload


def test_a_job_is_started_from_the_package_awaited_and_its_batch_returned(lake: str, s3: str):
    candidate = Batch("gold.dim_product", "c", 1, "a-2", RUN, END)
    operator, told = task(candidates=[candidate.to_dict()]), context()
    waiting = deferred(operator, told)
    client = aws.client("emr-serverless", aws.access())
    job = client.get_job_run(applicationId=lake, jobRunId=waiting.trigger.job_id)["jobRun"]
    place = paths.job(operator.job_id_of(told))
    submit = job["jobDriver"]["sparkSubmit"]
    stem = Path(config.settings().jobs.package).stem
    folder = f"{s3}/packages".replace("s3a://", "s3://")
    assert submit["entryPoint"] == f"{folder}/{stem}.py"
    assert submit["sparkSubmitParameters"] == f"--py-files {folder}/{stem}.zip"
    asked = order.parse(submit["entryPointArguments"])
    assert (asked.tables, asked.run, asked.through, asked.folder) == (("silver.products",), RUN, "transform", place)
    assert order.take(place) == {"gold.dim_product": candidate}
    assert (job["executionRole"], job["name"].split()[:2]) == (ROLE, ["silver.products", "2025-10-01"])
    (defaults,) = job["configurationOverrides"]["applicationConfiguration"]
    assert defaults["properties"]["spark.executor.cores"] == "4"
    assert "io.delta:delta-spark_4.2_2.13:4.4.0" in defaults["properties"]["spark.jars.packages"]
    logs = job["configurationOverrides"]["monitoringConfiguration"]["s3MonitoringConfiguration"]["logUri"]
    assert logs == f"s3://{BUCKET}/logs/"
    assert "test-secret" not in json.dumps(job, default=str)
    assert waiting.trigger.cancel_on_kill

    leave(operator, told, {"batches": [batch(counts={"inserted": 3}).to_dict()]})
    event = event_of(waiting.trigger)
    assert event["status"] == "success", event
    # Another process, an operator made anew.
    assert Batch.from_dict(task().execute_complete(context(), event)).counts == {"inserted": 3}


def test_a_job_that_says_success_and_left_nothing_is_none(lake: str):
    operator, told = task(), context()
    event = event_of(deferred(operator, told).trigger)
    with pytest.raises(order.ReportMissing, match=r"left no report .*[\s\S]*driver's log"):
        operator.execute_complete(told, event)


def test_every_try_has_a_job_of_its_own(lake: str):
    ids = [task().job_id_of(context(n)) for n in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


@pytest.fixture
def stubbed(lake: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Answers of one's own, in order; requests are checked against AWS's model."""
    client = aws.fresh_client("emr-serverless", aws.access())
    monkeypatch.setattr(EmrTransformOperator, "hook", SimpleNamespace(conn=client))
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def listed(state: str, *names: str) -> dict[str, Any]:
    """An answer of list_job_runs, earlier ones first; details quote a row, as Spark's errors do."""
    job = {"applicationId": "app0", "arn": ARN, "createdBy": ROLE, "updatedAt": END, "executionRole": ROLE}
    job |= {"state": state, "stateDetails": "row of Ann", "releaseLabel": "emr-7.13.0"}
    jobs = [{**job, "id": f"job{n}", "name": x, "createdAt": END + timedelta(n)} for n, x in enumerate(names)]
    return {"jobRuns": jobs}


#: All that the trigger says of a job that did not end well.
FAILED = {"status": "failure", "message": "row of Ann"}


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_job_that_did_not_end_well_is_told_with_its_log_and_no_row(stubbed: Stubber, lake: str, state: str):
    operator, told = task(), context()
    mine = operator.ask(told).name
    stubbed.add_response("list_job_runs", listed(state, mine, "another", mine, "x"), {"applicationId": lake})
    with pytest.raises(JobFailed) as caught:
        operator.execute_complete(told, FAILED)
    text = str(caught.value)
    assert f"silver.products: the job job2 of EMR Serverless was {state}." in text
    assert f"s3://{BUCKET}/logs/applications/{lake}/jobs/job2/SPARK_DRIVER/" in text
    assert "Ann" not in text


def test_a_job_that_goes_on_too_long_is_cancelled(stubbed: Stubber, lake: str):
    operator, told = task(), context()
    mine = operator.ask(told).name
    stubbed.add_response("list_job_runs", listed("RUNNING", mine), {"applicationId": lake})
    stubbed.add_response("cancel_job_run", WHERE, {"applicationId": lake, "jobRunId": "job0"})
    with pytest.raises(JobFailed, match="was RUNNING for too long, and was cancelled"):
        operator.execute_complete(told, FAILED)


@pytest.mark.parametrize(
    ("kind", "raised"), [("TransformFailed", AirflowFailException), ("SparkUnavailable", JobFailed)]
)
def test_the_jobs_own_error_is_told_and_decides_about_a_retry(
    stubbed: Stubber, lake: str, kind: str, raised: type[Exception]
):
    operator, told = task(), context()
    stubbed.add_response("list_job_runs", listed("FAILED", operator.ask(told).name), {"applicationId": lake})
    leave(operator, told, {"error": {"type": kind, "what": "silver.products: a column is gone.", "remedy": "Mend it."}})
    with pytest.raises(raised, match=r"a column is gone.\n  -> Mend it."):
        operator.execute_complete(told, FAILED)


@pytest.mark.parametrize("error", [TaskDeferralError("Trigger failure"), TaskDeferralTimeout("Trigger timeout")])
def test_a_job_that_nobody_watches_any_more_is_cancelled(stubbed: Stubber, lake: str, error: Exception):
    operator, told = task(), context()
    mine = operator.ask(told).name
    states = ["PENDING", "RUNNING", "SCHEDULED", "SUBMITTED"]
    stubbed.add_response(
        "list_job_runs", listed("RUNNING", "silver.orders x", mine), {"applicationId": lake, "states": states}
    )
    stubbed.add_response("cancel_job_run", WHERE, {"applicationId": lake, "jobRunId": "job1"})
    with pytest.raises(type(error)):
        operator.resume_execution("__fail__", {"error": str(error)}, told)


def test_an_earlier_attempt_is_cancelled_before_the_next_begins(stubbed: Stubber, lake: str):
    operator, told = task(), context(2)
    asked = operator.ask(told)
    states = ["PENDING", "RUNNING", "SCHEDULED", "SUBMITTED"]
    stubbed.add_response("list_job_runs", listed("RUNNING", asked.name), {"applicationId": lake, "states": states})
    stubbed.add_response("cancel_job_run", WHERE, {"applicationId": lake, "jobRunId": "job0"})
    stubbed.add_client_error("get_application", "ThrottlingException", "slower", 429)
    with pytest.raises(JobFailed, match=r"GetApplication with ThrottlingException.[\s\S]*tried again"):
        operator.execute(told)
    assert asked.name == task().ask(context(1)).name


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException", "ResourceNotFoundException"])
def test_what_patience_does_not_mend_fails_at_once(stubbed: Stubber, code: str):
    stubbed.add_client_error("list_job_runs", code, "user test-secret may not", 403)
    with pytest.raises(AirflowFailException, match=rf"ListJobRuns with {code}.[\s\S]*infra/roles.yaml") as caught:
        task().execute(context())
    assert "test-secret" not in str(caught.value)


def test_a_throttled_start_is_tried_again_and_starts_one_job(lake: str):
    """botocore's own retries, and the same token each time."""
    operator, tokens = task(), []

    def throttle(request: Any, **_: Any) -> Any:
        tokens.append(json.loads(request.body)["clientToken"])
        if len(tokens) == 1:
            response = AWSResponse(request.url, 429, {"x-amzn-errortype": "ThrottlingException"}, None)
            response._content = b'{"message": "slower"}'
            return response
        return None

    operator.hook.conn.meta.events.register("before-send.emr-serverless.StartJobRun", throttle)
    told = context()
    assert deferred(operator, told).trigger.job_id
    assert tokens == [operator.job_id_of(told)] * 2


def test_an_application_that_sleeps_is_started_and_one_that_does_not_start_is_told(lake: str):
    client = aws.client("emr-serverless", aws.access())
    client.start_application(applicationId=lake)
    client.stop_application(applicationId=lake)
    waiting = deferred(task(), context())
    assert isinstance(waiting.trigger, EmrServerlessStartApplicationTrigger)
    assert waiting.method_name == "execute"
    with pytest.raises(JobFailed, match=f"application {lake} did not start"):
        task().execute(context(), {"status": "error", "application_id": lake})


def test_without_the_section_there_is_no_such_task(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path))
    config.settings.cache_clear()
    with pytest.raises(ConfigError, match=r"no spark.jobs of kind emr_serverless"):
        task()
    config.settings.cache_clear()


#: Executes the daily DAG with `spark.jobs` as told: each task's operator, what it waits for, and what was imported.
PROBE = """
import dataclasses, json, runpy, sys
import airflow.sdk
from lakehouse import config, sections
told = json.loads(sys.argv[2])
loaded = config.load()
jobs = sections.JOBS[told["kind"]].model_validate(told) if told else None
config.load = lambda environ=None: dataclasses.replace(loaded, jobs=jobs)
made = runpy.run_path(sys.argv[1])
(dag,) = [value for value in made.values() if isinstance(value, airflow.sdk.DAG)]
tasks = {task.task_id: [task.task_type, sorted(task.upstream_task_ids)] for task in dag.tasks}
print(json.dumps({"tasks": tasks, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""
CHOICES = {
    "SparkTransformOperator": None,
    "SubmitTransformOperator": {"kind": "spark_submit", "package": "/packages/lakehouse-0.json"},
    "EmrTransformOperator": {
        "kind": "emr_serverless", "package": "s3://x/lakehouse-0.json", "application": "00x0", "role": ROLE,
        "logs": "s3://x/logs/",
    },
}  # fmt: skip


def test_the_configuration_chooses_and_only_transforms_change(airflow_environment: dict[str, str]):
    shown = {}
    for operator, told in CHOICES.items():
        argv = [sys.executable, "-c", PROBE, str(ROOT / "dags" / "daily.py"), json.dumps(told)]
        ran = subprocess.run(argv, env=airflow_environment, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr[-3000:]
        shown[operator] = json.loads(ran.stdout.splitlines()[-1])
        assert not set(HEAVY) & set(shown[operator]["modules"])
        kinds = {task: kind for task, (kind, _) in shown[operator]["tasks"].items()}
        assert {kind for task, kind in kinds.items() if task.endswith(".transform")} == {operator}
    local = shown["SparkTransformOperator"]["tasks"]
    for told in shown.values():
        assert {task: waits for task, (_, waits) in told["tasks"].items()} == {
            t: waits for t, (_, waits) in local.items()
        }
        others = {task: kind for task, (kind, _) in told["tasks"].items() if not task.endswith(".transform")}
        assert others == {task: kind for task, (kind, _) in local.items() if not task.endswith(".transform")}


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{kind: yarn}", "spark.jobs.kind 'yarn' is not known"),
        ("{kind: spark_submit}", "spark.jobs.package"),
        ("{kind: spark_submit, package: x, master: y}", "spark.jobs.master"),
        ("{kind: emr_serverless, package: dist/x.json, application: a, role: x, logs: s3://x/}", "spark.jobs.package"),
    ],
)
def test_a_wrong_section_is_named(section: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "include" / "config"
    folder.mkdir(parents=True)
    local = (ROOT / "include/config/local.yaml").read_text()
    (folder / "local.yaml").write_text(local.replace("spark:\n", f"spark:\n  jobs: {section}\n", 1))
    monkeypatch.setattr(config, "PROJECT", tmp_path)
    with pytest.raises(ConfigError, match=told):
        config.load({"LAKEHOUSE_HOME": str(tmp_path)})
