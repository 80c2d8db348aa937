"""What can be asked of the stand-ins besides serving: small pages, short sessions, throttling, silence, drift."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from starlette.responses import JSONResponse, Response


@dataclass
class Faults:
    """The wishes that hold now. Those that count requests count down."""

    #: Records of a page.
    page_size: int = 200
    #: Requests that a Salesforce session is good for; 0: any number.
    session_requests: int = 0
    #: How many of the next requests are turned away, with which status (403: Salesforce's request limit) and header.
    turn_away: int = 0
    status: int = 503
    retry_after: str = ""
    #: Seconds until a request is answered.
    delay: float = 0.0
    #: Salesforce fields under other names, {field: new name}; "" takes it away.
    renamed: dict[str, str] = field(default_factory=dict)
    #: Hours of rates that are missing, as the API writes times.
    missing: list[str] = field(default_factory=list)

    def wish(self, wishes: dict[str, Any]) -> None:
        """Start from the defaults and set `wishes`. Raises KeyError for one that is not known."""
        names = {f.name for f in fields(self)}
        if unknown := set(wishes) - names:
            raise KeyError(", ".join(sorted(unknown)))
        self.__init__(**wishes)  # type: ignore[misc]

    def refusal(self) -> Response | None:
        """The answer to a request that is turned away, None to serve it."""
        if not self.turn_away:
            return None
        self.turn_away -= 1
        code = "REQUEST_LIMIT_EXCEEDED" if self.status == 403 else "SERVER_UNAVAILABLE"
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return JSONResponse([{"errorCode": code, "message": "Come again."}], self.status, headers)
