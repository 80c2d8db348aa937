"""The extract step: the due windows go into the ledger first, then the source's rows into landing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lakehouse import ledger, log, paths
from lakehouse.clock import now
from lakehouse.contracts.model import Contract, Source
from lakehouse.errors import LakehouseError
from lakehouse.ingest.feed import open_feed
from lakehouse.ingest.figures import ask
from lakehouse.ingest.landing import forget, land
from lakehouse.killpoints import reach
from lakehouse.ledger.state import next_load
from lakehouse.pipeline.batch import Batch, Run, new_attempt, window_batch_id
from lakehouse.pipeline.events import event_of
from lakehouse.pipeline.plan import due_deliveries, due_windows
from lakehouse.pipeline.reconcile import reconciled_events

Connect = Callable[[], Any]


class EmptyDelivery(LakehouseError):
    """A source that must give rows gave none (ING-7)."""


class MissingDelivery(LakehouseError):
    """A source that must deliver did not (ING-7)."""


def source_of(contract: Contract) -> Source:
    """The contract's source. Raises LakehouseError for a table that is computed, not extracted."""
    if contract.source is None:
        raise LakehouseError(
            f"{contract.name} has no source to extract from.", "Run its transform; only bronze tables are extracted."
        )
    return contract.source


def extract(contract: Contract, run: Run, connect: Connect, pii_key: Callable[[], bytes]) -> Batch:
    """Land the rows `run` is due for. `connect` opens the source's client connection, and is called once.

    Raises EmptyDelivery or MissingDelivery where the contract calls that an error.
    """
    source = source_of(contract)
    events = reconciled_events(contract.name)
    windows = due_windows(source, run, events)
    batch_id = window_batch_id(contract, windows, run.kind)
    load = next_load(events, batch_id)
    earlier = [e for e in events if e.event == "started" and (e.batch_id, e.load) == (batch_id, load)]
    batch = Batch(
        table=contract.name,
        batch_id=batch_id,
        load=load,
        attempt=new_attempt(contract.name, run),
        run=run,
        # A retry stamps its rows with the first attempt's time: the same load gives the same rows.
        started_ts=earlier[0].event_ts if earlier else now(),
        windows=windows,
        contract=contract.fingerprint,
        empty=not windows,
    )
    with log.bound(batch, "extract"):
        if not windows:
            log.get().info("nothing due", end=run.end.isoformat())
            return batch.with_counts(extracted=0)
        connection = connect()
        try:
            feed = open_feed(contract, source, connection)
            folder = paths.landing(contract.name, batch_id, load)
            known, there = earlier[-1].deliveries if earlier else (), feed.deliveries()
            # A retry looks again where it knows of no delivery, for what was missing may have come, and where one was
            # sent again meanwhile: of this load nothing is published, and what it is now is there to be taken.
            again = not known or _sent_again(known, there)
            taken = due_deliveries(there, events, batch_id) if again else known
            batch = replace(batch, deliveries=taken)
            if not earlier or taken != known:
                # The plan of an attempt that found nothing has no slice of them.
                forget(folder)
                ledger.append(event_of(batch, "started", at=now() if earlier else batch.started_ts))
                reach("extract.started")
            rows = land(contract, feed, windows, taken, folder, pii_key, log.get().info)
            ask(contract, feed, folder)
        finally:
            connection.close()
        _check_delivery(contract, source, batch, rows)
        log.get().info("extracted", rows=rows, deliveries=len(taken))
        return batch.with_counts(extracted=rows)


def _sent_again(known: Sequence[str], there: Sequence[str]) -> bool:
    """Whether of `known` deliveries some are not there any more, and each of these is under another ETag."""
    gone, keys = set(known) - set(there), {name.rpartition("#")[0] for name in there}
    return bool(gone) and all(name.rpartition("#")[0] in keys for name in gone)


def _check_delivery(contract: Contract, source: Source, batch: Batch, rows: int) -> None:
    span = f"{batch.windows[0].low.isoformat()} .. {batch.windows[-1].high.isoformat()}"
    if source.missing_is_error and source.whole and not batch.deliveries:
        raise MissingDelivery(
            f"{contract.name}: {source.object} holds nothing new for {span}.",
            "Ask whoever delivers, and clear the task when it is there; set source.missingIsError to false if days "
            "without a delivery are normal.",
        )
    if source.empty_is_error and not rows:
        raise EmptyDelivery(
            f"{contract.name}: {source.object} gave no row for {span}.",
            "Check the source's own load; set source.emptyIsError to false if an empty window is normal.",
        )
