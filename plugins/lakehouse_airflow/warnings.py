"""The mail of a gate that went on: rules that only warn, or a failure that somebody overrode. Once an audit.

Names, numbers and links only: keys of rows stay in ops.quality and Data Docs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from logging import Logger

    from lakehouse.contracts import Contract
    from lakehouse.pipeline.batch import Batch
    from lakehouse.quality import GateResult

RUNBOOK = "runbooks/dq_failover.md"


def mail_warnings(contract: Contract, result: GateResult, run: str, docs: str) -> bool:
    """Mail the table's owner what failed in a gate that went on; whether there was anything to mail.

    `run` and `docs` are links. Raises what the mail server raises.
    """
    from lakehouse_airflow.alerts import send

    if not result.failures or not (result.passed or result.override):
        return False
    subject, text = mail(result)
    send([contract.owner_email], subject, f"{text}Run        {run}\nData Docs  {docs}\nRunbook    {RUNBOOK}\n")
    return True


def teller(run: Any, log: Logger) -> Callable[[Contract, Batch, GateResult], None]:
    """Mails what a gate found in a batch that goes on. `run` is the DAG run that it is part of.

    What only warns must not hold a table, nor must a mail server that is down: that is an error in the log.
    """
    from smtplib import SMTPException

    from airflow.sdk.exceptions import AirflowException

    from lakehouse.quality.docs import page
    from lakehouse_airflow.alerts import run_link
    from lakehouse_airflow.data_docs import url

    def tell(contract: Contract, batch: Batch, result: GateResult) -> None:
        docs = url(page(batch.table, batch.batch_id, batch.attempt))
        try:
            mail_warnings(contract, result, run_link(run.dag_id, run.run_id), docs)
        except (OSError, SMTPException, AirflowException) as error:
            log.error("The mail about %s was not sent: %s", result.table, type(error).__name__)

    return tell


def mail(result: GateResult) -> tuple[str, str]:
    """Subject and body."""
    went = "was overridden" if result.override else "warns"
    names = ", ".join(sorted(rule.rule for rule in result.failures))
    lines = [
        f"The quality gate of {result.table} {went}. Its batch goes on to be published.",
        "",
        *(f"{rule.severity:<10} {rule.rule}: {rule.observed}" for rule in result.failures),
        "",
        f"Batch      {result.batch_id}",
        *([f"Override   {result.override}"] if result.override else []),
        f"Rows       lakehouse gate show {result.table}",
        "",
    ]
    return f"[lakehouse] {went}: {result.table}: {names}", "\n".join(lines)
