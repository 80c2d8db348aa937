"""Snowflake's stand-in as a process: `python -m lakehouse.sandbox.snowflake_server --port P --data DIR`.

One shared engine over database files in DIR, so that tables outlive the process; logins need the password in
SNOWFLAKE_PASSWORD. Not a Snowflake: no write_pandas, no COPY from S3, no streams, tasks or
time travel, and a result comes as one batch. Locks and the end of sessions are ours: see `snowflake_sessions`.
"""

from __future__ import annotations

import argparse
import gzip
import hmac
import importlib
import json
import logging
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.applications import Starlette

LOGIN = "/session/v1/login-request"


def application(data: Path, password: str) -> Starlette:
    """The server's ASGI application over the databases in `data`."""
    from fakesnow.instance import FakeSnow
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from lakehouse.sandbox import snowflake_sessions

    _keep_null_timestamps()
    snowflake_sessions.patch_engine()
    server = _module()
    server.shared_fs = FakeSnow(db_path=data, nop_regexes=[snowflake_sessions.TOLD])
    for database in sorted(data.glob("*.db")):
        # A database is attached by the first login that names it; a client naming none should see all.
        server.shared_fs.connect(database.stem)
    snowflake_sessions.drop_orphans(server.shared_fs.duck_conn)

    async def login(request: Request) -> JSONResponse:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        given = str(json.loads(body)["data"].get("PASSWORD") or "")
        if not hmac.compare_digest(given.encode(), password.encode()):
            refusal = {"success": False, "code": "390100", "message": "Incorrect username or password was specified."}
            return JSONResponse({**refusal, "data": {"nextAction": None}})
        told = json.loads(bytes((await server.login_request(request)).body))
        # Without one the connector does not tell that a session has ended.
        told["data"]["masterToken"] = secrets.token_urlsafe(32)
        return JSONResponse(told)

    locks = snowflake_sessions.Locks(lambda token: server.sessions[token]._duck_conn.rollback())

    async def query(request: Request) -> JSONResponse:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        sql, token = str(json.loads(body).get("sqlText") or ""), server.to_token(request)
        if token in server.sessions and not await locks.before(token, sql):
            return JSONResponse(
                {**snowflake_sessions.TIMED_OUT, "data": snowflake_sessions.TIMED_OUT, "success": False}
            )
        well = False
        try:
            answer: JSONResponse = await server.query_request(request)
            well = b'"success":true' in bytes(answer.body)[-100:]
            return answer
        finally:
            if token in locks.sessions:
                locks.after(token, sql, well)

    async def session(request: Request) -> JSONResponse:
        token = server.to_token(request)
        gone = server.sessions.get(token) if request.query_params.get("delete") else None
        if gone is not None:
            locks.end(token)
            snowflake_sessions.drop_temporary(gone)
        answer: JSONResponse = await server.session(request)
        return answer

    ours = {LOGIN: login, "/queries/v1/query-request": query, "/session": session}
    others = [route for route in server.routes if route.path not in ours]
    return Starlette(routes=[*(Route(path, answers, methods=["POST"]) for path, answers in ours.items()), *others])


def main() -> None:
    """Serve until a signal ends it, then write the databases out."""
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    app = application(options.data, os.environ["SNOWFLAKE_PASSWORD"])
    # It logs failing SQL with the bound values, and so people's data. The client gets the same in its error.
    logging.getLogger("fakesnow.server").setLevel(logging.CRITICAL)
    uvicorn.run(
        app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False, timeout_graceful_shutdown=3
    )
    _module().shared_fs.duck_conn.close()


def _keep_null_timestamps() -> None:
    """Mark null timestamps as null in results; fakesnow nulls their parts only, and clients then read 1970-01-01."""
    import pyarrow as pa

    arrow: Any = importlib.import_module("fakesnow.arrow")
    convert = arrow.timestamp_to_sf_struct

    def masked(values: pa.Array | pa.ChunkedArray) -> pa.Array:
        struct = convert(values)
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return pa.StructArray.from_arrays(
            [struct.field(i) for i in range(struct.type.num_fields)], fields=list(struct.type), mask=whole.is_null()
        )

    arrow.timestamp_to_sf_struct = masked


def _module() -> Any:
    # Not `from fakesnow import server`: the package has a function of that name.
    return importlib.import_module("fakesnow.server")


if __name__ == "__main__":
    main()
