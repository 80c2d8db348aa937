"""What the operators of batch jobs share: the order they give, the report they read, and what a failed job means."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from lakehouse.errors import ConfigError, LakehouseError
from lakehouse_airflow.operators.transform import TransformOperator

if TYPE_CHECKING:
    from lakehouse.jobs.order import Order
    from lakehouse.jobs.submit import Placed

#: Namespace of job ids.
_NAMESPACE = uuid.UUID("0b9a5c1e-6a51-4b0e-8b53-5f0f5f7c1d24")
#: Errors that only a person can mend, as a report names them.
NOT_RETRIED = ("LoadFailed", "TransformFailed", "ContractError", "OrderWrong")


class JobFailed(LakehouseError):
    """A batch job did not end well."""


@dataclass(frozen=True)
class Asked:
    """One attempt's job: its id, what it is to do, and with which package."""

    job_id: str
    #: The same for all attempts of one run at one table.
    name: str
    order: Order
    package: Placed


class TransformJobOperator(TransformOperator):
    """A table's transform as a batch job: what SparkTransformOperator does, elsewhere. Not for use by itself."""

    def ask(self, context: Mapping[str, Any]) -> Asked:
        """The job of this attempt, its batches laid where it finds them. Raises SubmitRefused."""
        from lakehouse import paths
        from lakehouse.config import settings
        from lakehouse.jobs import order, submit
        from lakehouse.pipeline.batch import Batch
        from lakehouse_airflow.context import run_of

        jobs = settings().jobs
        if jobs is None:
            raise ConfigError("The configuration has no section spark.jobs.", "Add it: see docs/deploy.md.")
        run, job_id = run_of(context), self.job_id_of(context)
        given = [*([self.batch] if self.batch else []), *(self.candidates or ())]
        place = paths.job(job_id)
        order.give(place, [Batch.from_dict(value) for value in given])
        asked = order.Order((self.table,), run, folder=place, config=os.environ.get("LAKEHOUSE_CONFIG", ""))
        return Asked(job_id, self.job_name_of(context), asked, submit.placed(jobs.package))

    def job_name_of(self, context: Mapping[str, Any]) -> str:
        """What the jobs of all attempts of this run at this table are called."""
        from lakehouse_airflow.context import run_of

        run = run_of(context)
        family = hashlib.sha256(f"{self.table}|{run.run_id}".encode()).hexdigest()[:12]
        return f"{self.table} {run.run_date} {family}"

    def job_id_of(self, context: Mapping[str, Any]) -> str:
        """A uuid that this try of this task implies: whoever resumes it finds its job without remembering one."""
        ti = context["ti"]
        told = (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number)
        return str(uuid.uuid5(_NAMESPACE, "|".join(map(str, told))))

    def answer(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The batch that the job reports. Raises ReportMissing, and what `failed` raises."""
        from lakehouse import paths
        from lakehouse.jobs import order

        told = order.read_report(paths.job(self.job_id_of(context)))
        if "error" in told:
            self.failed(context, "ended with an error", "the driver's log")
        batch: dict[str, Any] = told["batches"][0]
        return batch

    def failed(self, context: Mapping[str, Any], how: str, log: str) -> None:
        """Raise what a failed job means: its own error where it left one, and no retry where none can help.

        `log` says where its driver's output is; none of that output is quoted, for it may quote rows.
        """
        from lakehouse import paths
        from lakehouse.jobs import order

        try:
            error = order.read_report(paths.job(self.job_id_of(context))).get("error")
        except order.ReportMissing:
            error = None
        if error is None:
            raise JobFailed(f"{self.table}: the job {how}.", f"Read {log} for the cause, then clear the task.")
        told = JobFailed(error["what"], error["remedy"])
        if error["type"] in NOT_RETRIED:
            raise AirflowFailException(str(told))
        raise told
