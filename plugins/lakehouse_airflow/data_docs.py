"""Data Docs in the UI: the pages served to whoever is logged in, and the link from a gate's task to its page."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from fastapi import FastAPI

#: Where the API server serves the pages.
PREFIX = "/data-docs"


def url(page: str) -> str:
    """The address of a page, as `lakehouse.quality.docs.page` names it."""
    base = conf.get("api", "base_url", fallback="http://localhost:8080").rstrip("/")
    return f"{base}{PREFIX}/{page}"


class DataDocsLink(BaseOperatorLink):
    """From a gate's task to what its rules found."""

    name = "Data Docs"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """The page of the batch that the task audited; "" where it never came to have one."""
        from lakehouse.quality.docs import folder, page

        batch = getattr(operator, "batch", None)
        if not isinstance(batch, dict) or not batch.get("attempt"):
            return ""
        found = page(batch["table"], batch["batch_id"], batch["attempt"])
        return url(found) if (folder() / found).exists() else ""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The pages as an ASGI application. Made by the first request: every Airflow process imports its plugins."""
    await _served()(scope, receive, send)


@lru_cache(maxsize=1)
def _served() -> FastAPI:
    """Serves the pages of LAKEHOUSE_HOME to users who are logged in."""
    from airflow.api_fastapi.core_api.security import requires_authenticated
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import FileResponse

    from lakehouse.quality.docs import folder

    served = FastAPI(title="Data Docs", dependencies=[Depends(requires_authenticated())], openapi_url=None)

    def show(page: str) -> FileResponse:
        root = folder().resolve()
        path = (root / page).resolve()
        if not path.is_relative_to(root) or path.suffix != ".html" or not path.is_file():
            raise HTTPException(404, "There is no such page.")
        return FileResponse(path, media_type="text/html")

    # Annotations are text in this module; FastAPI looks for their names outside of this function.
    show.__annotations__ = {"page": str}
    served.get("/{page:path}", response_class=FileResponse)(show)
    return served
