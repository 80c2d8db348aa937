"""Price lists that the shop's vendors send as files, day by day: what each day puts where, and what is odd about it.

Three vendors: north sends CSV, south JSON lines in gzip, east CSV in gzip. Every third day south is late, the day after
east's file breaks off and a line of north's is cut, and the day after that east sends its file again whole and north
yesterday's with new prices. In a shop without faults nothing is broken or cut. Same configuration, same bytes. Nothing
is sent here: see `lakehouse.sandbox.vendor`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Any

from lakehouse.sandbox.shop.faults import BROKEN
from lakehouse.sandbox.shop.model import Row, money
from lakehouse.sandbox.shop.simulation import Shop

VENDORS = ("north", "south", "east")
COLUMNS = ("sku", "supplier_price", "currency", "stock", "updated_at")
#: Below every file of a vendor.
PREFIX = "prices"


@dataclass(frozen=True)
class VendorFile:
    """One file as it is sent on one day."""

    key: str
    content: bytes
    #: Good rows in it.
    rows: int
    #: What is odd about it: late, resent, repaired, truncated, malformed_line. "" for nothing.
    kind: str = ""
    #: The reason in quarantine that follows from it; "" for none.
    rule: str = ""

    def as_json(self) -> dict[str, Any]:
        """The entry of the manifest: everything but the content."""
        return {name: value for name, value in asdict(self).items() if name != "content"}


def vendor_files(shop: Shop, n: int) -> list[VendorFile]:
    """What arrives on day `n`, in order; day 0 is the last day of history."""
    today = {vendor: _file(shop, n, vendor) for vendor in VENDORS}
    if n == 0:
        return list(today.values())
    if n % 3 == 1:
        return [today["north"], today["east"]]
    if n % 3 == 2:
        late = replace(_file(shop, n - 1, "south"), kind="late")
        if not shop.config.faults:
            return [late, *today.values()]
        return [late, _malformed(today["north"]), today["south"], _truncated(today["east"])]
    again = replace(_file(shop, n - 1, "east"), kind="repaired" if shop.config.faults else "resent")
    corrected = replace(_file(shop, n - 1, "north", raised=3), kind="resent")
    return [again, corrected, *today.values()]


def _file(shop: Shop, n: int, vendor: str, raised: int = 0) -> VendorFile:
    """The list of `vendor` for day `n`; with `raised` so many prices are others, and younger by a day."""
    day = (shop.config.window(n)[1] - timedelta(days=1)).date()
    rows = [_offer(shop, day, vendor, product, at < raised) for at, product in enumerate(_sold(shop, n, vendor))]
    if vendor == "south":
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        return VendorFile(f"{PREFIX}/{vendor}/{day}.jsonl.gz", gzip.compress(lines, mtime=0), len(rows))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode("utf-8-sig" if vendor == "north" else "utf-8")
    if vendor == "east":
        return VendorFile(f"{PREFIX}/{vendor}/{day}.csv.gz", gzip.compress(content, mtime=0), len(rows))
    return VendorFile(f"{PREFIX}/{vendor}/{day}.csv", content, len(rows))


def _sold(shop: Shop, n: int, vendor: str) -> list[Row]:
    """Products on sale at the end of day `n` that `vendor` supplies."""
    known: dict[int, Row] = {}
    for day in range(n + 1):
        rows = (row for row in shop.day(day).changes["products"].rows() if row["product_id"])
        known |= {row["product_id"]: row for row in rows if row["product_id"] < BROKEN}
    place, vendors = VENDORS.index(vendor), len(VENDORS)
    return [row for key, row in sorted(known.items()) if key % vendors == place and not row["is_deleted"]]


def _offer(shop: Shop, day: date, vendor: str, product: Row, raised: bool) -> dict[str, Any]:
    rng = Random(f"{shop.config.seed}|{day}|{vendor}|{product['sku']}")  # noqa: S311  (a simulation, no secret)
    cents = int(product["list_price"] * 100) * rng.randrange(55, 75) // 100
    moment = (
        f"{day + timedelta(days=raised)} {rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(1, 60):02d}"
    )
    return {
        "sku": product["sku"],
        "supplier_price": str(money(cents + 100 * raised)),
        "currency": "EUR",
        "stock": rng.randrange(500),
        "updated_at": moment,
    }


def _malformed(file: VendorFile) -> VendorFile:
    """Its last line is cut after the price."""
    content = file.content.rstrip(b"\r\n")
    last = content.rindex(b"\n") + 1
    cut = b",".join(content[last:].split(b",")[:2])
    return replace(file, content=content[:last] + cut, rows=file.rows - 1, kind="malformed_line", rule="line_malformed")


def _truncated(file: VendorFile) -> VendorFile:
    """A transfer that broke off."""
    cut = file.content[: len(file.content) * 2 // 3]
    return replace(file, content=cut, rows=0, kind="truncated", rule="file_truncated")
