"""What a contract says about deadlines, layout and landing: read strictly, wrong values named with a remedy."""

from datetime import timedelta
from pathlib import Path

import pytest

from lakehouse.contracts import ContractError, load_contract
from lakehouse.contracts.layout import Layout, read_layout
from lakehouse.contracts.sla import GATE_DEADLINE, read_duration
from tests.unit.test_contracts_broken import BRONZE, folder_of

DEADLINE = (
    "slaProperties:\n  - {property: dqGateDeadline, value: 20, unit: min}\n  - {property: latency, value: 1, unit: h}\n"
)
UPKEEP = """\
  - {property: layout, value: {zorderBy: [sent_at, receiver], targetFileMiB: 128}}
  - {property: landingRetention, value: P30D}
"""


def parcels(tmp_path: Path, text: str) -> Path:
    return folder_of(tmp_path, "bronze", "parcels", text, sql=False)


def test_deadline_layout_and_retention_are_read(tmp_path: Path) -> None:
    found = load_contract(parcels(tmp_path, BRONZE.replace("schema:\n", f"{DEADLINE}schema:\n") + UPKEEP))
    assert found.gate_deadline == timedelta(minutes=20)
    assert found.latency == timedelta(hours=1)
    assert found.layout == Layout(("sent_at", "receiver"), 128 << 20)
    assert found.landing_retention == timedelta(days=30)


def test_a_contract_without_them_has_none(tmp_path: Path) -> None:
    found = load_contract(parcels(tmp_path, BRONZE))
    assert (found.gate_deadline, found.layout, found.landing_retention) == (None, Layout((), 256 << 20), None)


def test_wrong_ones_are_told_with_their_line(tmp_path: Path) -> None:
    text = BRONZE + UPKEEP.replace("receiver", "recipient").replace("P30D", "a month")
    with pytest.raises(ContractError) as caught:
        load_contract(parcels(tmp_path, text))
    told = {what: text.splitlines()[line - 1] for line, what, _ in caught.value.problems}
    assert "recipient" in told["layout: no such column: recipient"]
    (retention,) = [what for what in told if what.startswith("landingRetention")]
    assert "a month" in told[retention]


@pytest.mark.parametrize("value", [0, -1, "20", True, None])
def test_a_deadline_is_a_positive_number(value: object) -> None:
    complaints: list[str] = []
    told = {"dqGateDeadline": {"value": value, "unit": "min"}}
    assert read_duration(GATE_DEADLINE, told, lambda what, fix: complaints.append(what)) is None
    assert len(complaints) == 1


@pytest.mark.parametrize(("unit", "seconds"), [("s", 20), ("min", 1200), ("h", 72000), ("d", 1728000)])
def test_a_deadline_has_a_unit(unit: str, seconds: int) -> None:
    told = {"dqGateDeadline": {"value": 20, "unit": unit}}
    found = read_duration(GATE_DEADLINE, told, lambda what, fix: pytest.fail(what))
    assert found == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"zorderBy": ["day"]}, "partitions"),
        ({"zorderBy": ["a", "a"]}, "each once"),
        ({"zorderBy": []}, "each once"),
        ({"zorderBy": "a"}, "each once"),
        ({"clusterBy": ["a"]}, "no {zorderBy"),
        ({}, "no {zorderBy"),
        (["a"], "no {zorderBy"),
        ({"targetFileMiB": 127}, "targetFileMiB 127"),
        ({"targetFileMiB": 513}, "targetFileMiB 513"),
        ({"targetFileMiB": True}, "targetFileMiB True"),
        ({"targetFileMiB": "256MB"}, "targetFileMiB '256MB'"),
    ],
)
def test_a_layout_orders_by_columns_of_the_table(value: object, word: str) -> None:
    complaints: list[str] = []
    read_layout(value, {"a", "day"}, ("day",), lambda key, what, fix: complaints.append(what))
    assert [word in what for what in complaints] == [True]
