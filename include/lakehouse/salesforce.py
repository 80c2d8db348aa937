"""How Salesforce is reached: a simple_salesforce client from an Airflow connection of type `salesforce`.

Extras have the names of Airflow's Salesforce provider. `endpoint_url` is ours: where requests go instead of
salesforce.com (a stand-in, or a gateway); the client itself would build https addresses whatever it is told.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceError

from lakehouse.connections import HTTP_TIMEOUT, Connection, ConnectionMalformed, ConnectionRefused
from lakehouse.ingest.web import number

#: Extra of the connection -> argument of the client.
EXTRAS = {
    "security_token": "security_token",
    "domain": "domain",
    "organization_id": "organizationId",
    "consumer_key": "consumer_key",
    "consumer_secret": "consumer_secret",
    "private_key": "privatekey",
    "private_key_file_path": "privatekey_file",
    "instance_url": "instance_url",
    "version": "version",
}


class _Adapter(HTTPAdapter):  # type: ignore[misc]
    """Gives up after so many seconds of silence, and sends to `endpoint` where there is one."""

    def __init__(self, endpoint: str, timeout: float) -> None:
        super().__init__()
        self._endpoint, self._timeout = endpoint.rstrip("/"), timeout

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if self._endpoint:
            parts = urlsplit(str(request.url))
            request.url = f"{self._endpoint}{parts.path}{'?' if parts.query else ''}{parts.query}"
        kwargs["timeout"] = kwargs.get("timeout") or self._timeout
        return super().send(request, *args, **kwargs)


def open_salesforce(conn: Connection) -> Any:
    """A client that is logged in, and logs in again where its session expired. The caller closes it.

    Raises ConnectionMalformed where it lacks what a login needs, and ConnectionRefused where it is refused.
    """
    # An empty `security_token` is one: of a user who logs in from a trusted network.
    given = {argument: conn.extra[name] for name, argument in EXTRAS.items() if conn.extra.get(name) is not None}
    endpoint = str(conn.extra.get("endpoint_url") or "")
    session = requests.Session()
    # No proxy stands between us and an endpoint that was named.
    session.trust_env = not endpoint
    session.mount("https://", _Adapter(endpoint, float(conn.extra.get("timeout") or HTTP_TIMEOUT)))
    try:
        login = {"username": conn.login, "password": conn.password}
        client = Salesforce(**login, **given, session=session, parse_float=number)
    except TypeError:
        error: Exception = ConnectionMalformed(
            f"Connection '{conn.conn_id}' lacks what a login needs.",
            "Set login, password and the extra `security_token`; or `consumer_key` with `consumer_secret` or a key.",
        )
    except (SalesforceError, requests.RequestException) as refused:
        error = ConnectionRefused(
            f"Salesforce refused connection '{conn.conn_id}': {getattr(refused, 'code', type(refused).__name__)}.",
            "Look at login, password, `security_token` and `domain` of the connection, and unlock its user.",
        )
    else:
        # By itself the client takes any unknown attribute for the name of an object.
        client.close = session.close
        return client
    session.close()
    # Outside of the handlers: what the client's own error quotes is not shown beside ours.
    raise error
