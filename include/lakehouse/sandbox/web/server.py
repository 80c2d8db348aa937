"""Both as a process: `python -m lakehouse.sandbox.web.server --port P --data DIR`, secrets in the environment.

`PUT /_faults` with the Salesforce password in `X-Password` sets `Faults` from a JSON object; `{}` ends all of them.
"""

from __future__ import annotations

import argparse
import hmac
import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lakehouse.sandbox.web.faults import Faults
from lakehouse.sandbox.web.fx import Rates
from lakehouse.sandbox.web.salesforce import Salesforce
from lakehouse.sandbox.web.store import FILE

HOST = "127.0.0.1"
#: Variables of the two secrets. A Salesforce client sends the password and the security token as one.
SALESFORCE_PASSWORD, FX_KEY = "SALESFORCE_PASSWORD", "FX_KEY"


def application(data: Path, password: str, key: str, faults: Faults | None = None) -> Starlette:
    """The ASGI application over the store in `data`."""
    faults = faults or Faults()

    async def wish(request: Request) -> Response:
        if not hmac.compare_digest(request.headers.get("X-Password", "").encode(), password.encode()):
            return JSONResponse({"error": "password"}, 401)
        try:
            faults.wish(await request.json())
        except (KeyError, ValueError, TypeError) as error:
            return JSONResponse({"error": f"no such fault: {error}"}, 400)
        return JSONResponse({})

    salesforce = Salesforce(data / FILE, password, faults)
    routes = [*salesforce.routes(), *Rates(data / FILE, key, faults).routes(), Route("/_faults", wish, methods=["PUT"])]
    app = Starlette(routes=routes)
    app.state.salesforce = salesforce
    return app


def main() -> None:
    """Serve until a signal ends it."""
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    app = application(options.data, os.environ[SALESFORCE_PASSWORD], os.environ[FX_KEY])
    # No access log: an address may hold a key.
    uvicorn.run(app, host=HOST, port=options.port, log_level="warning", access_log=False, timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
