"""Calls to AWS, each answer or a named error: tried again where that helps, told with operation, thing and remedy.

Messages have error codes, never AWS's own text: that quotes what it was given.
"""

from __future__ import annotations

from typing import Any

from lakehouse import aws
from lakehouse.errors import LakehouseError

#: botocore tries throttled, timed out and broken calls again, waiting longer each time.
SETTINGS = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": (("mode", "standard"), ("total_max_attempts", 6)),
}

_DENIED = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "NotAuthorized")
_LOGIN = ("InvalidClientTokenId", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException")
_BUSY = ("Throttl", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable", "InternalError", "InternalFailure")
_RACED = ("AlreadyExistsException", "ConcurrentModificationException", "ConcurrentModification")
_ABSENT = ("EntityNotFoundException", "NotFound", "NotFoundException", "ResourceNotFound", "ResourceNotFoundException")


class AwsFailed(LakehouseError):
    """AWS did not do what it was asked. `code` is its own word for why."""

    def __init__(self, what: str, remedy: str, code: str) -> None:
        """Keep the code, for those who know what to do about it."""
        super().__init__(what, remedy)
        self.code = code


class AwsRefused(AwsFailed):
    """We may not do that."""


class AwsUnavailable(AwsFailed):
    """AWS does not answer, or is too busy, after all attempts."""


class Raced(AwsFailed):
    """Somebody else, or an earlier attempt whose answer was lost, made it meanwhile."""


class Absent(AwsFailed):
    """What the call is about is not there."""


def call(service: str, operation: str, what: str, /, **arguments: Any) -> Any:
    """The answer of one call about `what`. Raises an AwsFailed."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = aws.client(service, aws.access(), **SETTINGS)
    try:
        return getattr(client, operation)(**arguments)
    except ClientError as error:
        told = error.response
        status = int(told.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
        raise _named(service, operation, what, str(told.get("Error", {}).get("Code") or "unknown"), status) from error
    except BotoCoreError as error:
        reason = type(error).__name__
        raise AwsUnavailable(
            f"{service}.{operation} for {what} was not answered: {reason}.",
            f"Check the network and the connection {aws.CONNECTION}, then do it again: what is done stays done.",
            reason,
        ) from error


def pages(service: str, operation: str, member: str, what: str, /, **arguments: Any) -> list[Any]:
    """All entries of `member` over every page."""
    found: list[Any] = []
    token = None
    while True:
        answer = call(service, operation, what, **arguments, **({"NextToken": token} if token else {}))
        found += answer.get(member) or []
        token = answer.get("NextToken")
        if not token:
            return found


def _named(service: str, operation: str, what: str, code: str, status: int) -> AwsFailed:
    said = f"{service}.{operation} for {what} failed: {code}."
    if code in _DENIED or code in _LOGIN:
        right = f"{service}:{''.join(word.capitalize() for word in operation.split('_'))}"
        remedy = f"Give the role of {aws.CONNECTION} the right {right}"
        login = f"Renew the credentials of {aws.CONNECTION}"
        done = ", then do it again: what is done stays done."
        return AwsRefused(said, (login if code in _LOGIN else remedy) + done, code)
    if code in _RACED:
        return Raced(said, "Do it again: it goes by what is there then.", code)
    if code in _ABSENT:
        return Absent(said, "Do it again: what it is part of was missing.", code)
    if status >= 500 or any(word in code for word in _BUSY):
        return AwsUnavailable(said, "Wait a little, then do it again: what is done stays done.", code)
    return AwsFailed(said, "Mend the configuration or the contract by the code, then do it again.", code)
