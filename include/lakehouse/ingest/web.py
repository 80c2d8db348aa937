"""What feeds over HTTP share: patience with a busy source, its two errors, and JSON records as Arrow.

Every value lands as the text the source gave: a number to its last digit, a boolean as true or false, anything nested
as JSON (its numbers as text). The contract's types are cast later, so nothing a source sends can break an extract.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from lakehouse.clock import now
from lakehouse.errors import LakehouseError
from lakehouse.ingest.feed import FAULT, RAW

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

#: How often a request is made before its task gives up, and the longest it waits in between, in seconds. A task that
#: gave up is started again by Airflow, much later.
TRIES, LONGEST_WAIT = 6, 60.0
#: Added to what the source asks for, so that not all who were told the same moment come back at it, in seconds.
JITTER = 1.0
#: Answers of a source that may serve the same request later.
BUSY = (408, 425, 429, 500, 502, 503, 504)

#: Digits of the longest number that a column can hold.
DIGITS = 38
#: Reasons of rows that could not be read.
NOT_AN_OBJECT, BROKEN_TEXT = "record_is_no_object", "text_is_no_unicode"


def number(text: str) -> str:
    """A JSON number as text, to its last digit. A whole one is written as one: 1023.0 and 1.023E3 are 1023."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    return str(int(value)) if value.adjusted() < DIGITS and value == value.to_integral_value() else text


#: Arguments of json.loads that keep numbers as text.
EXACT: Mapping[str, Any] = {"parse_float": number, "parse_int": str, "parse_constant": str}


class SourceUnavailable(LakehouseError):
    """A source did not answer, or asked for patience, for longer than a task waits."""


class SourceRefused(LakehouseError):
    """A source will not serve a request, or its answer is not what the contract says."""


class Busy(Exception):
    """A source asks to come again: in `wait` seconds where it says so. Ends in `patiently`."""

    def __init__(self, what: str, retry_after: str | None) -> None:
        """`retry_after` is the header as it came: seconds, or a date."""
        super().__init__(what)
        self.wait = _seconds(retry_after)


def patiently(ask: Callable[[], T], source: str, transient: tuple[type[Exception], ...]) -> T:
    """What `ask` returns, asked again after a Busy or one of `transient`, with growing, jittered pauses.

    Raises SourceUnavailable naming `source` after TRIES, or at once when the source wants a longer pause than
    LONGEST_WAIT. That error quotes neither request nor answer: either may hold a key.
    """
    growing = wait_random_exponential(multiplier=1, max=LONGEST_WAIT)

    def asked(state: RetryCallState) -> float | None:
        error = state.outcome.exception() if state.outcome else None
        return error.wait if isinstance(error, Busy) else None

    def pause(state: RetryCallState) -> float:
        wait = asked(state)
        return growing(state) if wait is None else wait + random.uniform(0, JITTER)  # noqa: S311

    def give_up(state: RetryCallState) -> T:
        error = state.outcome.exception() if state.outcome else None
        why, wait = str(error) if isinstance(error, Busy) else type(error).__name__, asked(state)
        told = f", and wants {wait:.0f} s of patience" if wait else ""
        raise SourceUnavailable(
            f"{source} did not serve a request in {state.attempt_number} tries; the last ended in {why}{told}.",
            "Look at the source's own status and at its limits for this account; clear the task when it serves again.",
        )

    retrying = Retrying(
        retry=retry_if_exception_type((Busy, *transient)),
        stop=lambda state: state.attempt_number >= TRIES or (asked(state) or 0) > LONGEST_WAIT,
        wait=pause,
        sleep=lambda seconds: sleep(seconds),
        retry_error_callback=give_up,
    )
    return retrying(ask)


def text_batch(records: Sequence[Any], names: Iterable[str]) -> pa.RecordBatch:
    """JSON `records` as a batch of text columns `names`; null where a record lacks one.

    Rows that cannot be read have FAULT, and RAW where they are no objects.
    """
    import pyarrow as pa

    rows = [record if isinstance(record, dict) else {} for record in records]
    faults: list[str | None] = [None if isinstance(record, dict) else NOT_AN_OBJECT for record in records]
    raw = [json.dumps(record) if fault else None for fault, record in zip(faults, records, strict=True)]
    columns: dict[str, list[str | None]] = {}
    for name in names:
        values = [_text(row.get(name)) for row in rows]
        for i, value in enumerate(values):
            if value is not None and not value.isascii() and (sound := _sound(value)) != value:
                values[i], faults[i] = sound, faults[i] or BROKEN_TEXT
        columns[_sound(name) or ""] = values
    columns |= {FAULT: faults, RAW: raw}
    return pa.RecordBatch.from_pydict({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def _sound(text: str | None) -> str | None:
    """`text` without lone surrogates, which JSON can carry and UTF-8 cannot."""
    return None if text is None else text.encode(errors="replace").decode()


def _seconds(retry_after: str | None) -> float | None:
    """Seconds from now that a Retry-After header means; None where it means nothing."""
    if not retry_after:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now()).total_seconds())


def utc(moment: datetime) -> str:
    """`moment` to the second or, where it has them, microseconds: 2025-10-01T00:00:00Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
