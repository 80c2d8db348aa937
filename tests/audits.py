"""What a warehouse must hold whatever happened on the way, as queries for what breaks it: no row, no fault.

Written from MOD-2 to MOD-4 and the words of the contracts, not from the product's code, and asked of DuckDB. Next to
the published tables they read the sources: for each dimension the states that its source has told, one row a key and
moment, as (key, told_at, deleted, attributes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse import paths
from tests import oracle

if TYPE_CHECKING:
    import pyarrow as pa

#: Name -> query.
Audits = dict[str, str]

#: Every member's versions with the begin of the next one, and its states with the moment from which each holds: the
#: first one has held since ever.
CHAINS = """
WITH versions AS (
    SELECT *, lead(valid_from) OVER (PARTITION BY {key} ORDER BY valid_from, valid_to) AS next_from
    FROM {name} WHERE {surrogate_key} <> -1
), states AS (
    SELECT *, lead(told_at) OVER moments IS NULL AS last,
        CASE WHEN lag(told_at) OVER moments IS NULL THEN TIMESTAMP '1900-01-01' ELSE told_at END AS since
    FROM {states} WINDOW moments AS (PARTITION BY {key} ORDER BY told_at)
)
"""
OF_DIMENSIONS = {
    "a version lasts": "SELECT * FROM versions WHERE valid_from >= valid_to",
    "versions do not overlap": "SELECT * FROM versions WHERE next_from < valid_to",
    "a gap is a deletion's": """
        SELECT * FROM versions v WHERE valid_to < next_from AND NOT EXISTS (
            FROM states s WHERE s.{key} = v.{key} AND s.told_at = v.valid_to AND s.deleted)""",
    "the last version ends at the end of time or by a deletion": """
        SELECT * FROM versions v WHERE next_from IS NULL AND valid_to <> TIMESTAMP '9999-12-31' AND NOT EXISTS (
            FROM states s WHERE s.{key} = v.{key} AND s.told_at = v.valid_to AND s.deleted)""",
    "no version holds while the member is deleted": """
        SELECT v.* FROM versions v JOIN states s USING ({key})
        WHERE s.deleted AND s.told_at >= v.valid_from AND s.told_at < v.valid_to""",
    "the last version alone is current, unless the member is deleted": """
        SELECT v.* FROM versions v LEFT JOIN states s ON s.{key} = v.{key} AND s.last
        WHERE v.is_current IS DISTINCT FROM (v.next_from IS NULL AND s.deleted IS NOT TRUE)""",
    "neighbours differ": """
        SELECT v.* FROM versions v JOIN versions n ON n.{key} = v.{key} AND n.valid_from = v.valid_to
        WHERE n.valid_from > v.valid_from AND {neighbours_equal}""",
    "a version begins when the source told of it": """
        SELECT v.* FROM versions v
        ANTI JOIN (FROM states WHERE NOT deleted) s ON s.{key} = v.{key} AND s.since = v.valid_from""",
    "every state is in a version with its attributes": """
        SELECT s.* FROM states s
        ANTI JOIN versions v
            ON v.{key} = s.{key} AND v.valid_from <= s.told_at AND s.told_at < v.valid_to AND {state_equal}
        WHERE NOT s.deleted""",
    "surrogate keys are unique": """
        SELECT {surrogate_key} FROM {name} GROUP BY ALL HAVING count(*) > 1""",
}
OF_FACTS = {
    "{surrogate_key} resolves": "SELECT f.* FROM {fact} f ANTI JOIN {name} d USING ({surrogate_key})",
    "{surrogate_key} is the version of its time": """
        SELECT f.* FROM {fact} f SEMI JOIN versions USING ({surrogate_key})
        ANTI JOIN versions v ON v.{surrogate_key} = f.{surrogate_key} AND v.{key} = f.{key}
            AND v.valid_from <= f.{time} AND f.{time} < v.valid_to""",
    "{surrogate_key} is unknown only where the source has no member as of then": """
        SELECT f.* FROM {fact} f ASOF JOIN states s ON f.{key} = s.{key} AND f.{time} >= s.since
        WHERE f.{surrogate_key} = -1 AND NOT s.deleted""",
}
#: What either side alone has, by day and kind and in total.
SUMS = """
WITH held AS ({held}), told AS ({told}),
    all_held AS (SELECT day, {kind}, sum(COLUMNS(* EXCLUDE (day, {kind}))) FROM held GROUP BY ROLLUP (day, {kind})),
    all_told AS (SELECT day, {kind}, sum(COLUMNS(* EXCLUDE (day, {kind}))) FROM told GROUP BY ROLLUP (day, {kind}))
SELECT 'held', * FROM (FROM all_held EXCEPT ALL FROM all_told)
UNION ALL SELECT 'told', * FROM (FROM all_told EXCEPT ALL FROM all_held)
"""


@dataclass(frozen=True)
class Dimension:
    """A versioned dimension; facts have its key and its surrogate key under the same names."""

    name: str
    #: The relation of its source's states.
    states: str
    key: str
    surrogate_key: str
    tracked: tuple[str, ...]
    #: Tracked columns that the source does not give as they are.
    protected: tuple[str, ...] = ()

    def audits(self) -> Audits:
        """What holds of its versions."""
        told = [column for column in self.tracked if column not in self.protected]
        words = {
            **vars(self),
            "neighbours_equal": _equal("n", "v", self.tracked),
            "state_equal": _equal("v", "s", told),
        }
        return {f"{self.name}: {rule}": (CHAINS + sql).format(**words) for rule, sql in OF_DIMENSIONS.items()}

    def audits_of(self, fact: str, time: str) -> Audits:
        """What holds of the surrogate keys of `fact`, whose events are at its column `time`."""
        words = {**vars(self), "fact": fact, "time": time}
        return {f"{fact}: {rule.format(**words)}": (CHAINS + sql).format(**words) for rule, sql in OF_FACTS.items()}


def sums(held: str, told: str, kind: str) -> str:
    """The query for what differs between two queries that give (day, kind, sums)."""
    return SUMS.format(held=held, told=told, kind=kind)


def faults(audits: Mapping[str, str], relations: Mapping[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
    """{audit: some of the rows that break it} over `relations` (see `oracle.opened`); those that hold are left out."""
    with oracle.opened(relations) as db:
        found = {name: db.execute(f"FROM ({sql}) LIMIT 5").fetchall() for name, sql in audits.items()}
    return {name: rows for name, rows in found.items() if rows}


def published(path: str, version: int | None = None) -> pa.Table:
    """A Delta table's rows without operational columns; times in UTC, without their zone, as sources give them."""
    import pyarrow as pa
    from deltalake import DeltaTable

    table = DeltaTable(path, version=version).to_pyarrow_table()
    fields = [field for field in table.schema if not field.name.startswith("_")]
    plain = [field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field for field in fields]
    return table.select([field.name for field in fields]).cast(pa.schema(plain))


def _equal(one: str, other: str, columns: Iterable[str]) -> str:
    return " AND ".join(f"{one}.{column} IS NOT DISTINCT FROM {other}.{column}" for column in columns)


CUSTOMERS = Dimension(
    *("dim_customer", "customer_states", "customer_id", "customer_sk"),
    tracked=("segment", "city", "country", "email", "full_name", "phone"),
    protected=("email", "full_name", "phone"),
)
PRODUCTS = Dimension(
    *("dim_product", "product_states", "product_id", "product_sk"),
    tracked=("name", "category", "list_price", "currency", "sku"),
)
STAR = ("dim_customer", "dim_product", "fact_sales", "fact_behavior")
#: The audits of the shop's star; `star` gives what they read.
SHOP: Audits = {
    **CUSTOMERS.audits(),
    **PRODUCTS.audits(),
    **CUSTOMERS.audits_of("fact_sales", "order_ts"),
    **PRODUCTS.audits_of("fact_sales", "order_ts"),
    **CUSTOMERS.audits_of("fact_behavior", "event_ts"),
    **PRODUCTS.audits_of("fact_behavior", "event_ts"),
    "fact_sales: sums are the source's, to the cent": sums(oracle.GOLD_SALES, oracle.SALES, "currency"),
    "fact_behavior: sums are the source's": sums(oracle.GOLD_EVENTS, oracle.EVENTS, "event_type"),
    "fact_sales: USD is at the rate of the order's time, whenever it came": f"""
        SELECT f.* FROM fact_sales f JOIN ({oracle.LINES}) l USING (order_id, line_number)
        WHERE CAST(f.usd_rate * 10000000000 AS HUGEINT) IS DISTINCT FROM l.usd""",
}

STATES = {"customer_states": oracle.CUSTOMER_STATES, "product_states": oracle.PRODUCT_STATES}


def star(pictures: Sequence[Mapping[str, Path]], versions: Mapping[str, int] | None = None) -> dict[str, Any]:
    """The tables of STAR as they are, or at `versions`, and the shop's sources as they stood at each load up to then.

    Of customers and products every state that was seen counts, of the rest the last picture.
    """
    held = {name: published(paths.table(f"gold.{name}"), (versions or {}).get(f"gold.{name}")) for name in STAR}
    seen = {name: [picture[name] for picture in pictures] for name in ("customers", "products")}
    return {**held, **pictures[-1], **seen, **STATES}
