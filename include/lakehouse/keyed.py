"""An httpx transport that adds the credentials last, and for their own host alone.

What callers hold, what httpx logs (every address, at INFO) and what its errors quote never has the key in it.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx


class KeyedTransport(httpx.HTTPTransport):
    """Sends requests to `address` with `headers` and query `parameters` added; requests to other hosts as they are."""

    def __init__(self, address: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> None:
        """Follows the machine's own certificates."""
        super().__init__()
        self._origin = _origin(httpx.URL(address))
        self._headers, self._parameters = dict(headers), dict(parameters)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with the key, as one of which nobody else knows."""
        if _origin(request.url) != self._origin:
            return super().handle_request(request)
        url = request.url.copy_merge_params(self._parameters) if self._parameters else request.url
        headers = {**request.headers, **self._headers}
        keyed = httpx.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        return super().handle_request(keyed)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
