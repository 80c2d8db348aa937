"""What somebody asks of a backfill, as typed, and whether it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from lakehouse.clock import moment, now
from lakehouse.errors import LakehouseError
from lakehouse.ledger.windows import Window
from lakehouse.manifest import Manifest

Origin = Literal["bronze", "source"]


class BackfillRefused(LakehouseError):
    """A backfill that cannot be done as it is asked for."""


@dataclass(frozen=True)
class Request:
    """What somebody asks for."""

    #: Names as typed: `orders`, `silver.orders`.
    tables: tuple[str, ...]
    #: (low, high] of bronze's cursors.
    window: Window
    #: bronze: what landed is computed anew. source: what the ledger lacks is loaded first.
    origin: Origin = "bronze"
    #: With `bronze`: rows ingested later are left out.
    as_of: datetime | None = None
    #: All is left on branches, to be looked at before it is published.
    stage: bool = False
    #: The longest window that is loaded at once.
    chunk: timedelta = timedelta(days=31)

    @classmethod
    def typed(
        cls,
        tables: Sequence[str],
        start: str,
        end: str,
        origin: str = "bronze",
        as_of: str = "",
        stage: bool = False,
        chunk_days: int = 31,
    ) -> Request:
        """From text: days (the last one and that of `as_of` included) or moments. Raises LakehouseError."""
        if not start or not end:
            raise BackfillRefused("It is not said which days are meant.", "Give --start and --end.")
        if origin not in get_args(Origin):
            raise BackfillRefused(f"'{origin}' is nothing to start from.", "Use --from bronze or --from source.")
        return cls(
            tuple(tables),
            Window(moment(start, "start"), moment(end, "end", last=True)),
            origin,  # type: ignore[arg-type]
            moment(as_of, "as-of", last=True) if as_of else None,
            stage,
            timedelta(days=chunk_days),
        )


def check(manifest: Manifest, request: Request, named: Sequence[str]) -> None:
    """Raise BackfillRefused for a request that cannot be; `named` are the tables that it names."""
    low, high = request.window
    if low >= high:
        raise BackfillRefused(f"{low:%Y-%m-%d} is not before {high:%Y-%m-%d}.", "Give an earlier start.")
    if high > now():
        raise BackfillRefused(
            f"The range ends at {high.isoformat()}, which is yet to come.", "Give a day that is over."
        )
    if request.origin == "source":
        computed = [name for name in named if not manifest[name].connection]
        if computed:
            above = sorted(name for name in manifest.upstream(computed) if manifest[name].connection)
            raise BackfillRefused(
                f"{', '.join(computed)} loads from no source.",
                f"Use --from bronze, or name what it is made of: {', '.join(above)}.",
            )
        if request.as_of:
            raise BackfillRefused("A source is read as it is now: --as-of has no meaning.", "Leave it out.")
