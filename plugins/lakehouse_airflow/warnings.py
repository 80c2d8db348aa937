"""The mail of a gate that went on: rules that only warn, or a failure that somebody overrode. Once an audit.

Names, numbers and links only: keys of rows stay in ops.quality and Data Docs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakehouse.contracts import Contract
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
