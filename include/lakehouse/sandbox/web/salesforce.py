"""Salesforce's login (SOAP), describe, query and queryAll."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import sqlite3
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lakehouse.sandbox.web import store
from lakehouse.sandbox.web.faults import Faults
from lakehouse.sandbox.web.soql import Malformed, translate

_DATA = "/services/data/v{version}"
_TYPES = {"id": "double", "money": "currency", "flag": "boolean", "time": "datetime"}
#: Query results that are kept, as Salesforce keeps ten a user.
CURSORS = 10
_ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"
 xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"""
_FAULT = """<soapenv:Fault><faultcode>sf:INVALID_LOGIN</faultcode><detail><sf:LoginFault>
<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode><sf:exceptionMessage>Invalid username, password, security token; or
 user locked out.</sf:exceptionMessage></sf:LoginFault></detail></soapenv:Fault>"""


@dataclass
class Salesforce:
    """One organisation. `password` is what the client sends: the password, then the security token."""

    file: Path
    password: str = field(repr=False)
    faults: Faults
    #: Requests left of each session; None: any number.
    sessions: dict[str, int | None] = field(default_factory=dict, repr=False)
    logins: int = 0
    cursors: dict[str, list[dict[str, Any]]] = field(default_factory=dict, repr=False)

    def routes(self) -> list[Route]:
        """The addresses it serves."""
        return [
            Route("/services/Soap/u/{version}", self.login, methods=["POST"]),
            Route(_DATA + "/sobjects/{name}/describe", self.describe),
            Route(_DATA + "/query", self.query),
            Route(_DATA + "/query/", self.query),
            Route(_DATA + "/queryAll/", self.query),
            Route(_DATA + "/query/{locator}", self.more),
        ]

    async def login(self, request: Request) -> Response:
        """A session for the password."""
        body = (await request.body()).decode()
        given = re.search(r"<n1:password>(.*?)</n1:password>", body, re.DOTALL)
        if not given or not hmac.compare_digest(unescape(given[1]).encode(), self.password.encode()):
            return Response(_ENVELOPE.format(body=_FAULT), 500, media_type="text/xml")
        session = secrets.token_urlsafe(24)
        self.sessions[session] = self.faults.session_requests or None
        self.logins += 1
        address = f"https://{request.url.netloc}/services/Soap/u/{request.path_params['version']}/00D"
        result = f"<serverUrl>{address}</serverUrl><sessionId>{session}</sessionId>"
        body = f"<loginResponse><result>{result}</result></loginResponse>"
        return Response(_ENVELOPE.format(body=body), media_type="text/xml")

    async def describe(self, request: Request) -> Response:
        """The fields of an object."""
        if refused := await self._refused(request):
            return refused
        name = request.path_params["name"]
        if name not in store.OBJECTS:
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        kinds = {column.name: column.kind for column in store.OBJECTS[name].columns}
        fields = [{"name": f, "type": _TYPES.get(kinds[c], "string")} for f, c in self._fields(name).items()]
        return JSONResponse({"name": name, "fields": fields})

    async def query(self, request: Request) -> Response:
        """The first page of a query."""
        if refused := await self._refused(request):
            return refused
        objects = {name: table.name for name, table in store.OBJECTS.items()}
        try:
            name, sql = translate(
                request.query_params.get("q", ""), objects, {name: self._fields(name) for name in objects}
            )
        except Malformed as malformed:
            return _error(400, malformed.code, str(malformed))
        everything = "queryAll" in request.url.path
        locator = "01g" + secrets.token_hex(8)
        self.cursors[locator] = self._records(name, sql, everything)
        while len(self.cursors) > CURSORS:
            del self.cursors[next(iter(self.cursors))]
        return self._page(request, locator, 0)

    async def more(self, request: Request) -> Response:
        """A later page: the locator, a dash, and the number of its first record."""
        if refused := await self._refused(request):
            return refused
        locator, _, first = request.path_params["locator"].partition("-")
        if locator not in self.cursors or not first.isdecimal():
            return _error(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(request, locator, int(first))

    async def _refused(self, request: Request) -> Response | None:
        await asyncio.sleep(self.faults.delay)
        if refusal := self.faults.refusal():
            return refusal
        session = request.headers.get("Authorization", "").removeprefix("Bearer ")
        left = self.sessions.get(session, 0)
        if left == 0:
            return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
        self.sessions[session] = None if left is None else left - 1
        return None

    def _fields(self, name: str) -> dict[str, str]:
        """{field: column} as the object is now."""
        names = {self.faults.renamed.get(c, c): c for c in store.OBJECTS[name].names}
        return {field: column for field, column in names.items() if field}

    def _records(self, name: str, sql: str, everything: bool) -> list[dict[str, Any]]:
        table = store.OBJECTS[name]
        kinds = {f: next(c.kind for c in table.columns if c.name == column) for f, column in self._fields(name).items()}
        with store.opened(self.file) as db:
            db.row_factory = sqlite3.Row
            gone = {row["Id"] for row in db.execute(f"SELECT Id FROM {store.quote(table.name)} WHERE IsDeleted")}
            rows = [dict(row) for row in db.execute(sql)]
        kept = [row for row in rows if everything or row.get("Id") not in gone]
        attributes = {"type": name}
        return [{"attributes": attributes} | {f: _json(v, kinds[f]) for f, v in row.items()} for row in kept]

    def _page(self, request: Request, locator: str, first: int) -> Response:
        records, until = self.cursors[locator], first + self.faults.page_size
        page: dict[str, Any] = {
            "totalSize": len(records),
            "done": until >= len(records),
            "records": records[first:until],
        }
        if not page["done"]:
            version = request.path_params["version"]
            page["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{until}"
        return JSONResponse(page)


def _json(value: Any, kind: str) -> Any:
    """A stored value as Salesforce writes it."""
    if value is None:
        return None
    if kind == "flag":
        return bool(value)
    if kind == "time":
        return str(value).replace("Z", "+0000")
    return float(value) if kind in ("money", "id") else value


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse([{"errorCode": code, "message": message}], status)
