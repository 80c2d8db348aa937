"""Feeds of Salesforce objects: a window of their cursor (SystemModstamp) in SOQL, deleted records with it.

The server keeps a query's result and hands it over in pages, so that equal cursors at a page's border are neither lost
nor doubled. The client logs in again when its session has expired, and asks for the same page. Whatever fields the
object has now are asked for: those the contract does not know follow its schema policy, and under `discard_value`,
which keeps none of them, they are not even fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceError

from lakehouse.contracts.model import Contract, Source
from lakehouse.ingest.feed import Slice, span, window_slices
from lakehouse.ingest.web import BUSY, Busy, SourceRefused, patiently, text_batch
from lakehouse.ledger.windows import Window

if TYPE_CHECKING:
    import pyarrow as pa

#: Names of objects and fields. SOQL has no quotes for them.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
#: Types whose parts are fields of their own, or that are no values.
COMPOUND = ("address", "location", "base64", "complexvalue")
#: What Salesforce answers, under 403, where an account asks too much at a time or in a day.
LIMIT = "REQUEST_LIMIT_EXCEEDED"
#: What the client raises where the line broke; reading may be tried again.
TRANSIENT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def feed(contract: Contract, source: Source, connection: Any) -> SalesforceFeed:
    """The feed of an object behind `connection`, an open simple_salesforce client."""
    return SalesforceFeed(contract, source, connection)


class SalesforceFeed:
    """A Salesforce object."""

    def __init__(self, contract: Contract, source: Source, client: Any) -> None:
        """`client` is logged in. From here on its busy answers are waited out."""
        self.contract, self.source, self.client = contract, source, client
        self.title = f"{contract.name}: {source.connection} {source.object}"
        self._fields: list[str] = []
        client.session.hooks["response"].append(_refuse_busy)

    def deliveries(self) -> Sequence[str]:
        """None: an object is asked for windows."""
        return ()

    def plan(self, windows: Sequence[Window], deliveries: Sequence[str]) -> list[Slice]:
        """Each window, the lookback below it included, in chunks."""
        return window_slices(self.source, windows)

    def read(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """The records of one chunk, a batch a page, as text (see `lakehouse.ingest.web`).

        Raises SourceUnavailable or SourceRefused.
        """
        names = self._fields = self._fields or self._described()
        cursor = self.contract.column(self.source.cursor).source_name
        soql = extract_soql(self.source.object, names, cursor, span(piece))
        page = self._ask(partial(self.client.query, soql, include_deleted=True))
        while True:
            if page["records"]:
                yield text_batch(page["records"], names)
            if page["done"]:
                return
            address = page["nextRecordsUrl"]
            page = self._ask(partial(self.client.query_more, address, identifier_is_url=True))

    def _described(self) -> list[str]:
        """Names of the fields to ask for, as the object is now."""
        fields = self._ask(partial(self.client.restful, f"sobjects/{_name(self.source.object)}/describe"))["fields"]
        names = [field["name"] for field in fields if field["type"] not in COMPOUND]
        if self.source.schema_policy == "discard_value":
            known = {column.source_name.lower() for column in self.contract.columns}
            names = [name for name in names if name.lower() in known]
        return names

    def _ask(self, ask: Callable[[], Any]) -> Any:
        try:
            return patiently(ask, self.title, TRANSIENT)
        except SalesforceError as error:
            refused = self._refused(error)
        except requests.RequestException as error:
            refused = SourceRefused(
                f"{self.title}: the answer could not be read ({type(error).__name__}).", "Clear the task to ask again."
            )
        # Outside of the handler, so that what the client says of the request is not shown beside it.
        raise refused

    def _refused(self, error: SalesforceError) -> SourceRefused:
        code, message = _reason(error)
        if isinstance(error, SalesforceAuthenticationFailed) or error.status == requests.codes.unauthorized:
            return SourceRefused(
                f"{self.title} refused our credentials ({code}).",
                f"Renew password and security_token of the Airflow connection {self.source.connection}.",
            )
        if code == "INVALID_QUERY_LOCATOR":
            return SourceRefused(f"{self.title} forgot a query before it was read.", "Clear the task to ask again.")
        return SourceRefused(
            f"{self.title} refused a request: {code} {message}".rstrip() + ".",
            f"Compare {self.contract.path} with the object and with what the connection's user may see.",
        )


def extract_soql(target: str, names: Sequence[str], cursor: str, window: Window) -> str:
    """SOQL of the fields `names` of the object `target` for low < cursor <= high, older ones first.

    Raises SourceRefused for a name that is none, before it gets anywhere.
    """
    fields, by = ", ".join(map(_name, names)), _name(cursor)
    low, high = (_literal(bound) for bound in window)
    return f"SELECT {fields} FROM {_name(target)} WHERE {by} > {low} AND {by} <= {high} ORDER BY {by}, Id"


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise SourceRefused(f"{text!r} is no name of a Salesforce object or field.", "Correct it in the contract.")
    return text


def _literal(bound: datetime) -> str:
    """Salesforce keeps milliseconds: what lies between two of them belongs to neither side."""
    return bound.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _refuse_busy(response: requests.Response, *args: Any, **kwargs: Any) -> None:
    """Raise Busy for an answer that asks for patience.

    A refused login comes as HTTP 500. It is never tried again: that would lock the account.
    """
    limited = response.status_code == requests.codes.forbidden and LIMIT in response.text
    login = response.status_code == requests.codes.server_error and "/services/data/" not in str(response.url)
    if limited or (response.status_code in BUSY and not login):
        what = LIMIT if limited else f"HTTP {response.status_code}"
        raise Busy(what, response.headers.get("Retry-After"))


def _reason(error: SalesforceError) -> tuple[str, str]:
    """Salesforce's code and message of an error."""
    if isinstance(error, SalesforceAuthenticationFailed):
        return str(error.code), ""
    content = error.content[0] if isinstance(error.content, list) and error.content else {}
    if not isinstance(content, dict):
        content = {}
    code = str(content.get("errorCode") or f"HTTP {error.status}")
    return code, " ".join(str(content.get("message") or "").split())[:300]
