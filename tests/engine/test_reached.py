"""Handles as a contract has them: by its own spelling, of types with an order, and of every input it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.contracts import Contract, load_contract
from lakehouse.delta import ColumnSpec, TableSpec, create_table
from lakehouse.transform.affected import Handle
from lakehouse.transform.increment import reached
from lakehouse.transform.inputs import Input
from lakehouse.transform.spans import Span
from lakehouse.transform.sql import parse_transform

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: gold.stays
version: 1.0.0
status: active
team: {name: Test, members: [{username: test@shop.example}]}
customProperties:
  - {property: strategy, value: merge}
"""
GUESTS = {"guestId": "BIGINT", "validFrom": "TIMESTAMP", "validTo": "TIMESTAMP", "Rank": "STRING"}
STAYS = {"stayId": "BIGINT", "guestId": "BIGINT", "Arrived": "TIMESTAMP", "tags": "ARRAY<STRING>"}
SQL = """SELECT s.stayId, s.guestId, s.Arrived, g.rank AS Rank FROM silver.stays AS s LEFT JOIN silver.guests AS g
  ON s.guestid = g.guestid AND s.arrived >= g.validfrom AND s.arrived < g.validto"""
COLUMNS = """
      - {name: stayId, physicalType: BIGINT, primaryKey: true, required: true}
      - {name: guestId, physicalType: BIGINT}
      - {name: Arrived, physicalType: TIMESTAMP}
      - {name: Rank, physicalType: STRING}
"""


def asked(root: Path, sql: str = SQL, columns: str = COLUMNS, custom: str = "") -> tuple[Contract, list[Handle] | str]:
    folder = root / "tables" / "gold" / "stays"
    folder.mkdir(parents=True)
    text = f"{HEAD}{custom}schema:\n  - name: stays\n    properties:{columns}"
    (folder / "contract.odcs.yaml").write_text(text)
    (folder / "transform.sql").write_text(sql)
    inputs = {}
    for name, kinds in (("silver.stays", STAYS), ("silver.guests", GUESTS)):
        create_table(str(root / name), TableSpec(tuple(ColumnSpec(*column) for column in kinds.items())))
        inputs[name] = Input(name, str(root / name), 0, 0)
    contract, transform = load_contract(folder), parse_transform(folder)
    return contract, reached(contract, transform, {name: inputs[name] for name in transform.reads})


def test_handles_are_spelt_as_the_contract_spells_them(tmp_path: Path) -> None:
    _, found = asked(tmp_path)
    looked_at = ("Rank", "guestId", "validFrom", "validTo")
    assert found == [
        Handle("silver.stays", (("stayId", "stayId"),)),
        Handle(
            "silver.guests",
            (("guestId", "guestId"),),
            frozenset({"Rank"}),
            Span("Arrived", "validFrom", "validTo", looked_at),
        ),
    ]


def test_arrays_are_no_keys(tmp_path: Path) -> None:
    columns = """
      - {name: sk, physicalType: BIGINT, primaryKey: true, required: true}
      - {name: guestId, physicalType: BIGINT}
      - {name: tags, physicalType: ARRAY<STRING>}
"""
    sql = "SELECT xxhash64(s.stayId, s.Arrived) AS sk, s.guestId, s.tags FROM silver.stays AS s"
    _, found = asked(tmp_path, sql, columns, "  - {property: warehouse, value: false}\n")
    assert [handle.pairs for handle in found if isinstance(handle, Handle)] == [(("guestId", "guestId"),)]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("{silver.stays: {stayId: stayId}}", "do not say how a change of silver.guests reaches it"),
        (
            "{silver.stays: {stayId: stayId}, silver.guests: {guestId: guestId}, silver.rooms: {roomId: stayId}}",
            "name silver.rooms, which its SQL does not read",
        ),
        ("{silver.stays: {stayId: stayId}, silver.guests: {id: guestId}}", "name id, which silver.guests does not"),
    ],
)
def test_declared_keys_that_do_not_fit_are_a_reason_to_compute_in_full(tmp_path: Path, keys: str, problem: str) -> None:
    _, found = asked(tmp_path, custom=f"  - {{property: affectedKeys, value: {keys}}}\n")
    assert problem in str(found)


def test_declared_keys_go_before_what_the_sql_says(tmp_path: Path) -> None:
    keys = "{silver.stays: {stayId: stayId}, silver.guests: {guestid: guestId}}"
    _, found = asked(tmp_path, custom=f"  - {{property: affectedKeys, value: {keys}}}\n")
    assert found == [
        Handle("silver.stays", (("stayId", "stayId"),)),
        Handle("silver.guests", (("guestid", "guestId"),)),
    ]
