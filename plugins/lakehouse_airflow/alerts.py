"""Mails to people: one function that sends, and the address of what a mail is about."""

from __future__ import annotations

from collections.abc import Iterable
from email.message import EmailMessage
from email.utils import formatdate
from urllib.parse import quote

from airflow.providers.smtp.hooks.smtp import SmtpHook
from airflow.sdk.configuration import conf

#: Airflow connection that mails go through; its extra `from_email` is the sender.
CONNECTION = "smtp_default"


def send(to: Iterable[str], subject: str, text: str) -> None:
    """One plain-text mail to all of `to`. Raises what the mail server raises.

    A mail holds names, numbers and links: never rows, values of a source, or the text of an exception (OPS-5).
    """
    with SmtpHook(smtp_conn_id=CONNECTION) as smtp:
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = subject, smtp.from_email, ", ".join(sorted(set(to)))
        mail["Date"] = formatdate()
        mail.set_content(text)
        # The hook's own methods send HTML only; the client they use is logged in by now.
        smtp._smtp_client.send_message(mail)


def run_link(dag_id: str, run_id: str) -> str:
    """The page of a run in the UI."""
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}"
