"""Nothing from a source: nothing was sent, or what was sent holds nothing. Each contract says which is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import config, ledger, paths
from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import store
from lakehouse.ingest.files.stores import Folder, ObjectGone
from lakehouse.ingest.landing import WHOLE
from lakehouse.ledger.state import covered
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.extract import EmptyDelivery, MissingDelivery, extract
from tests import vendor

RUN = Run("day", "scheduled", end=datetime(2025, 10, 2, tzinfo=UTC), start=datetime(2025, 10, 1, tzinfo=UTC))


@pytest.fixture
def attempt(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Batch]]:
    """Attempts of one run to extract what vendors sent, on each store; keywords are what the contract's source says."""
    monkeypatch.setenv("LAKEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKEHOUSE_LAKE", f"{root}/lake")
    config.settings.cache_clear()
    (tmp_path / "in").mkdir()

    def extracted(**said: bool) -> Batch:
        return extract(saying(tmp_path, **said), RUN, lambda: Folder(str(tmp_path)), lambda: b"key")

    yield extracted
    config.settings.cache_clear()


def saying(root: Path, **said: bool) -> Contract:
    folder = vendor.contract(root).path.parent
    file = folder / "contract.odcs.yaml"
    words = "".join(f"      {name}: {str(value).lower()}\n" for name, value in said.items())
    file.write_text(file.read_text() + words)
    return load_contract(folder)


def test_empty_against_missing_delivery(attempt: Any, tmp_path: Path) -> None:
    """ING-7: each is an error where the contract says so, and a load in error covers nothing."""
    assert attempt().deliveries == ()
    with pytest.raises(MissingDelivery, match=r"bronze.offers: in holds nothing new for 2025-01-01.* \.\. 2025-10-02"):
        attempt(missingIsError=True)
    with pytest.raises(EmptyDelivery, match=r"bronze.offers: in gave no row"):
        attempt(emptyIsError=True)
    vendor.put(tmp_path, vendor.NAME, b"SKU,price,note,n\r\n")
    sent = attempt(missingIsError=True)
    assert (len(sent.deliveries), sent.counts["extracted"]) == (1, 0)
    with pytest.raises(EmptyDelivery, match=r"bronze.offers: in gave no row"):
        attempt(emptyIsError=True)
    assert covered(ledger.read("bronze.offers")) == []


@pytest.mark.parametrize("died", [False, True])
def test_a_retry_takes_what_came_since(attempt: Any, tmp_path: Path, died: bool) -> None:
    """ING-1: what a load takes is on record before its first row, and stays so once there is anything."""
    with pytest.raises(MissingDelivery):
        attempt(missingIsError=True)
    if died:
        # Before it was through with nothing: its plan of no slice must not be followed.
        (load,) = {event.batch_id for event in ledger.read("bronze.offers")}
        store.delete(f"{paths.landing('bronze.offers', load, 1)}/{WHOLE}")
    vendor.put(tmp_path, vendor.NAME, b"SKU,price,note,n\r\nA,1,x,1\r\n")
    for _ in range(2):
        made = attempt(missingIsError=True)
        assert (made.load, len(made.deliveries), made.counts["extracted"]) == (1, 1, 1)
        vendor.put(tmp_path, "2025-10-02.csv", b"SKU,price,note,n\r\nB,1,x,1\r\n")
    started = [event for event in ledger.read("bronze.offers") if event.event == "started"]
    assert [len(event.deliveries) for event in started] == [0, 1]
    assert {event.batch_id for event in started} == {made.batch_id}


def test_a_retry_takes_what_was_sent_again(attempt: Any, tmp_path: Path) -> None:
    """ING-6: what a load that never was published knew, and is another object by now, is taken as it is now."""
    vendor.put(tmp_path, vendor.NAME, b"SKU,price,note,n\r\nA,1,x,1\r\n")
    vendor.put(tmp_path, "2025-10-02.csv", b"SKU,price,note,n\r\nB,1,x")
    before = attempt()
    vendor.put(tmp_path, "2025-10-02.csv", b"SKU,price,note,n\r\nB,1,x,1\r\nC,1,x,1\r\n")
    after = attempt()
    assert (after.batch_id, after.load) == (before.batch_id, before.load)
    assert (
        len(set(after.deliveries) - set(before.deliveries)) == len(set(before.deliveries) - set(after.deliveries)) == 1
    )
    assert after.counts["extracted"] == 3
    (tmp_path / "in" / "2025-10-02.csv").unlink()
    with pytest.raises(ObjectGone, match=r"2025-10-02\.csv was listed, and is gone"):
        attempt()
