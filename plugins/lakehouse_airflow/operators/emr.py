"""EmrTransformOperator: a table's transform as a job of EMR Serverless, by the provider's own operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator
from airflow.providers.amazon.aws.utils import validate_execute_complete_event
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralError, TaskDeferralTimeout
from botocore.exceptions import ClientError

from lakehouse.config import settings
from lakehouse.errors import ConfigError
from lakehouse.sections import EmrJobs
from lakehouse_airflow.operators.job import JobFailed, TransformJobOperator

#: Answers that ask for patience; all others are told at once.
BUSY = ("ThrottlingException", "TooManyRequestsException", "InternalServerException", "ConflictException")


class EmrTransformOperator(TransformJobOperator, EmrServerlessStartJobOperator):
    """Starts the job and waits for it in the triggerer; returns the batch with its branch.

    Application, role, package and logs are those of `spark.jobs` in the configuration. Earlier attempts of the run
    at this table are cancelled first, and so is the job when its task is killed, times out, or loses its trigger.

    :param table: `layer.table`.
    :param batch: the extract's batch, for a bronze table.
    :param candidates: batches of tables in the same publish group that this table reads before they are published.
    """

    template_fields: Sequence[str] = (*EmrServerlessStartJobOperator.template_fields, "table", "batch", "candidates")
    operator_extra_links = (
        *TransformJobOperator.operator_extra_links,
        *EmrServerlessStartJobOperator.operator_extra_links,
    )

    def __init__(self, *, table: str, **kwargs: Any) -> None:
        jobs = self._jobs()
        super().__init__(
            table=table,
            application_id=jobs.application,
            execution_role_arn=jobs.role,
            # Both are known when the task runs: see `execute`.
            job_driver={},
            configuration_overrides=None,
            waiter_delay=jobs.poll_seconds,
            waiter_max_attempts=jobs.polls,
            deferrable=True,
            cancel_on_kill=True,
            # Lineage is declared from contract and SQL: see `TableOperator`.
            openlineage_inject_parent_job_info=False,
            openlineage_inject_transport_info=False,
            **kwargs,
        )

    @staticmethod
    def _jobs() -> EmrJobs:
        jobs = settings().jobs
        if not isinstance(jobs, EmrJobs):
            raise ConfigError("The configuration has no spark.jobs of kind emr_serverless.", "See docs/deploy.md.")
        return jobs

    def execute(self, context: Any, event: dict[str, Any] | None = None) -> Any:
        """Start the job, the application first where it sleeps, and defer."""
        from lakehouse.jobs import submit

        if event and event.get("status") != "success":
            raise JobFailed(
                f"{self.table}: the EMR Serverless application {self.application_id} did not start.",
                "See its state in the EMR console (quotas, subnets, image), then clear the task.",
            )
        jobs, asked = self._jobs(), self.ask(context)
        self.name, self.client_request_token = asked.name, asked.job_id
        self.job_driver = submit.emr_job_driver(asked.package, asked.order)
        self.configuration_overrides = submit.emr_overrides(asked.package, jobs.logs, jobs.conf)
        try:
            self.cancel_earlier(asked.name)
            super().execute(context, event)
        except ClientError as error:
            raise self._refused(error) from None
        return self.answer(context)

    def execute_complete(self, context: Any, event: dict[str, Any] | None = None) -> Any:
        """Read the report; the batch. A job that still goes on is cancelled."""
        if validate_execute_complete_event(event)["status"] == "success":
            return self.answer(context)
        try:
            # The event of a failure does not say which job it was.
            job = self._latest(self.job_name_of(context))
            state = job["state"]
            if state not in EmrServerlessHook.JOB_TERMINAL_STATES:
                self.hook.conn.cancel_job_run(applicationId=self.application_id, jobRunId=job["id"])
                state = f"{state} for too long, and was cancelled"
        except ClientError as error:
            raise self._refused(error) from None
        log = f"{self._jobs().logs}applications/{self.application_id}/jobs/{job['id']}/SPARK_DRIVER/"
        return self.failed(context, f"{job['id']} of EMR Serverless was {state}", log)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """As Airflow does; nobody watches the job any more where its trigger failed or timed out: it is cancelled."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout):
            self.cancel_earlier(self.job_name_of(context))
            raise

    def cancel_earlier(self, name: str) -> None:
        """Cancel the jobs of this name that still go on: those of this run at this table."""
        going = sorted(set(EmrServerlessHook.JOB_INTERMEDIATE_STATES))
        for job in self._named(name, states=going):
            self.log.warning("Cancelling job run %s of an earlier attempt", job["id"])
            self.hook.conn.cancel_job_run(applicationId=self.application_id, jobRunId=job["id"])

    def _latest(self, name: str) -> dict[str, Any]:
        jobs = sorted(self._named(name), key=lambda job: job["createdAt"])
        if not jobs:
            raise JobFailed(
                f"{self.table}: EMR Serverless knows no job '{name}'.", "Clear the task: it starts another."
            )
        return jobs[-1]

    def _named(self, name: str, **only: Any) -> list[dict[str, Any]]:
        """Job runs of the application that have this name."""
        pages = self.hook.conn.get_paginator("list_job_runs").paginate(applicationId=self.application_id, **only)
        return [job for page in pages for job in page["jobRuns"] if job.get("name") == name]

    def _refused(self, error: ClientError) -> Exception:
        code = error.response["Error"]["Code"]
        what = f"{self.table}: EMR Serverless answered {error.operation_name} with {code}."
        if code in BUSY:
            return JobFailed(what, "It is busy: the task is tried again.")
        remedy = "Check spark.jobs of the configuration, and the rights of the tasks' role (infra/roles.yaml)."
        return AirflowFailException(str(JobFailed(what, remedy)))
