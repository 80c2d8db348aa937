"""Two pages beside the UI, for whoever may see assets: a table's loads, and why rows of it were set aside.

Counts, names and times only: no row is shown. Mounted under /lakehouse by the plugin; the links of tasks lead here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from fastapi import FastAPI

PREFIX = "/lakehouse"

#: The newest so many events of a table are shown.
EVENTS = 100

_STYLE = "body{font:14px system-ui;margin:2em}td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}"


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """The pages as an ASGI application, made at the first request: every process of Airflow imports this module."""
    await _app()(scope, receive, send)


@lru_cache(maxsize=1)
def _app() -> FastAPI:
    from airflow.api_fastapi.core_api.security import requires_access_asset

    return app(requires_access_asset(method="GET"))


def app(guard: Callable[..., Any]) -> FastAPI:
    """The pages as an application of their own; `guard` is asked before each and raises for who may not see it."""
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse

    pages = FastAPI(title="lakehouse", dependencies=[Depends(guard)], docs_url=None)

    def known(table: str) -> str:
        from lakehouse.manifest import load

        if table not in {entry.name for entry in load().entries}:
            raise HTTPException(404, "There is no such table.")
        return table

    @pages.get("/ledger/{table}", response_class=HTMLResponse)
    def ledger_page(table: str) -> str:
        return page(f"Loads of {known(table)}", loads(table))

    @pages.get("/quarantine/{table}", response_class=HTMLResponse)
    def quarantine_page(table: str) -> str:
        return page(f"Rows of {known(table)} set aside", reasons(table))

    return pages


def loads(table: str) -> list[dict[str, Any]]:
    """The newest events of the ledger, newest first."""
    from lakehouse import ledger

    return [
        {
            "when": f"{event.event_ts:%Y-%m-%d %H:%M:%S}",
            "event": event.event,
            "version": event.version if event.version >= 0 else "",
            "load": event.load,
            "batch": event.batch_id,
            "run": event.run_id,
            "counts": ", ".join(f"{name} {count}" for name, count in sorted(event.counts.items())),
            "detail": event.detail,
        }
        for event in reversed(ledger.read(table)[-EVENTS:])
    ]


def reasons(table: str) -> list[dict[str, Any]]:
    """How many rows of `table` each rule set aside, by day of arrival, newest first."""
    from lakehouse import paths
    from lakehouse.delta import latest_version, scan

    path = paths.ops("quarantine")
    if latest_version(path) < 0:
        return []
    rows = scan(path, {"table": table}, ["quarantined_ts", "reasons"]).read_all().to_pylist()
    found = Counter((f"{row['quarantined_ts']:%Y-%m-%d}", rule) for row in rows for rule in row["reasons"])
    return [{"day": day, "rule": rule, "rows": count} for (day, rule), count in sorted(found.items(), reverse=True)]


def page(title: str, rows: list[dict[str, Any]]) -> str:
    """An HTML page with one table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in (rows[0] if rows else ()))
    lines = ["".join(f"<td>{escape(str(value))}</td>" for value in row.values()) for row in rows]
    body = f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>" if rows else "<p>None.</p>"
    return f"<!doctype html><title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>{body}"


class LedgerLink(BaseOperatorLink):
    """From a task to the loads of its table."""

    name = "Ledger"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page of the operator's table."""
        return f"{PREFIX}/ledger/{operator.table}"


class QuarantineLink(BaseOperatorLink):
    """From a task to what its table set aside."""

    name = "Quarantine"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page of the operator's table."""
        return f"{PREFIX}/quarantine/{operator.table}"
