"""An exchange rate API: GET /fx/v1/rates?base=EUR&after=...&until=...&cursor=..., key in a header or a parameter."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lakehouse.sandbox.web import store
from lakehouse.sandbox.web.faults import Faults

#: Where the key may be.
HEADER, PARAMETER = "X-API-Key", "apikey"
_RATES = f"""
    SELECT base, currency, rate_ts, rate, published_at FROM {store.RATES.name}
    WHERE base = ? AND rate_ts > ? AND rate_ts <= ? ORDER BY rate_ts, currency LIMIT ? OFFSET ?
"""


@dataclass
class Rates:
    """The API."""

    file: Path
    key: str = field(repr=False)
    faults: Faults

    def routes(self) -> list[Route]:
        """The addresses it serves."""
        return [Route("/fx/v1/rates", self.rates)]

    async def rates(self, request: Request) -> Response:
        """A page of rates: {"data": {"rates": [...]}, "meta": {"next": cursor or null}}."""
        await asyncio.sleep(self.faults.delay)
        given = request.headers.get(HEADER) or request.query_params.get(PARAMETER) or ""
        if not hmac.compare_digest(given.encode(), self.key.encode()):
            return JSONResponse({"error": "unknown key"}, 401)
        if refusal := self.faults.refusal():
            return refusal
        asked = request.query_params
        try:
            first = int(asked.get("cursor", 0))
            bounds = [_stored(asked[name]) for name in ("after", "until")]
        except (KeyError, ValueError):
            return JSONResponse({"error": "give base, after and until"}, 400)
        size = self.faults.page_size
        with store.opened(self.file) as db:
            found = db.execute(_RATES, (asked.get("base", ""), *bounds, size, first)).fetchall()
        rates = [
            {"base": base, "currency": currency, "rate_ts": at, "rate": float(rate), "published_at": published}
            for base, currency, at, rate, published in found
            if at not in self.faults.missing
        ]
        return JSONResponse({"data": {"rates": rates}, "meta": {"next": first + size if len(found) == size else None}})


def _stored(text: str) -> str:
    """A time as the store keeps it. Raises ValueError."""
    from lakehouse.clock import in_utc

    return store.moment(in_utc(text).replace(tzinfo=None))
