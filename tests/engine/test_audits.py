"""Every audit can fail: in a small star that passes them all one thing is broken, and that audit alone tells of it."""

from __future__ import annotations

import duckdb
import pytest

from tests.audits import CUSTOMERS, PRODUCTS, SHOP, STATES, Dimension, faults

#: Member 1 changes on day 3, is told again as it is on day 5, is deleted on day 10 and comes back on day 12. Member 2
#: is deleted on day 8, member 3 comes on day 2, member 4 is known as deleted only, and of member 9 nothing is told.
STAR = """
CREATE TABLE {source} AS SELECT m AS {key}, TIMESTAMP '2025-09-30' + INTERVAL (day) DAY AS updated_at,
    deleted AS is_deleted, {told}
FROM (VALUES (1, 1, false, 'a'), (1, 3, false, 'b'), (1, 5, false, 'b'), (1, 10, true, 'b'), (1, 12, false, 'c'),
    (2, 1, false, 'a'), (2, 8, true, 'a'), (3, 2, false, 'b'), (4, 1, true, 'a')) AS t(m, day, deleted, v);
CREATE TABLE {name} AS SELECT sk AS {surrogate_key}, m AS {key}, CAST(opens AS TIMESTAMP) AS valid_from,
    CAST(ends AS TIMESTAMP) AS valid_to, current AS is_current, {held}
FROM (VALUES (-1, -1, '1900-01-01', '9999-12-31', true, 'unknown'),
    (10, 1, '1900-01-01', '2025-10-03', false, 'a'), (11, 1, '2025-10-03', '2025-10-10', false, 'b'),
    (12, 1, '2025-10-12', '9999-12-31', true, 'c'), (20, 2, '1900-01-01', '2025-10-08', false, 'a'),
    (30, 3, '1900-01-01', '9999-12-31', true, 'b')) AS t(sk, m, opens, ends, current, v);
"""
#: Dimension -> (source, what it tells beside its key, what the dimension holds, the attribute that changes).
STARS = {
    CUSTOMERS: (
        "customers",
        "'vip' AS segment, v AS city, 'DE' AS country, NULL AS email",
        "'vip' AS segment, v AS city, 'DE' AS country, NULL AS email, 'token' AS full_name, NULL AS phone",
        "city",
    ),
    PRODUCTS: (
        "products",
        "'S' AS sku, v AS name, NULL AS category, 5.00 AS list_price, 'EUR' AS currency",
        "'S' AS sku, v AS name, NULL AS category, 5.00 AS list_price, 'EUR' AS currency",
        "name",
    ),
}
#: At noon: on day 11 member 1 is away, on day 1 member 3 had not come but is the same since ever.
FACTS = """
CREATE TABLE fact_sales AS SELECT n AS order_id, 1 AS line_number, CAST(day AS DATE) AS order_date,
    day + INTERVAL 12 HOUR AS order_ts, customer_sk, product_sk, customer_id, product_id, currency, 2 AS quantity,
    10.00 AS gross_amount, 1.00 AS discount, 9.00 AS net_amount, CAST(rate AS DECIMAL(18, 10)) AS usd_rate,
    CAST(10 * rate AS DECIMAL(18, 2)) AS gross_amount_usd, CAST(9 * rate AS DECIMAL(18, 2)) AS net_amount_usd
FROM (VALUES (1, TIMESTAMP '2025-10-02', 10, 10, 1, 1, 'EUR', 1.17), (2, '2025-10-04', 11, 11, 1, 1, 'USD', 1.0),
    (3, '2025-10-11', -1, -1, 1, 9, 'EUR', 1.18), (4, '2025-10-13', 30, 12, 3, 1, 'EUR', NULL),
    (5, '2025-10-01', 30, 30, 3, 3, 'EUR', 1.16))
    AS t(n, day, customer_sk, product_sk, customer_id, product_id, currency, rate);
CREATE TABLE orders AS SELECT order_id, customer_id, order_ts, 'paid' AS status, currency, 'DE' AS country,
    false AS is_deleted, order_ts AS updated_at FROM fact_sales;
CREATE TABLE order_items AS SELECT order_id, line_number, product_id, 2 AS quantity, 5.00 AS unit_price, discount,
    false AS is_deleted, order_ts AS updated_at FROM fact_sales;
CREATE TABLE fx_rates AS SELECT 'EUR' AS base, 'USD' AS currency, CAST(hour AS TIMESTAMP) AS rate_ts, rate
FROM (VALUES ('2025-10-01', 1.16), ('2025-10-02', 1.17), ('2025-10-10', 1.18)) AS t(hour, rate);
CREATE TABLE fact_behavior AS SELECT n AS event_id, day + INTERVAL 12 HOUR AS event_ts, CAST(day AS DATE) AS event_date,
    customer_sk, product_sk, customer_id, product_id, 's' || n AS session_id, 'page_view' AS event_type
FROM (VALUES ('a', TIMESTAMP '2025-10-02', -1, 10, NULL, 1), ('b', '2025-10-04', 11, 11, 1, 1),
    ('c', '2025-10-11', -1, -1, 9, 1)) AS t(n, day, customer_sk, product_sk, customer_id, product_id);
CREATE TABLE behavior_events AS SELECT event_id, event_ts, event_type, session_id, customer_id, product_id,
    event_ts AS loaded_at FROM fact_behavior;
"""
#: Audit -> what breaks it.
OF_DIMENSION = {
    "a version lasts": """
        INSERT INTO {name} SELECT * REPLACE (99 AS {surrogate_key}, valid_from AS valid_to, 'z' AS {v})
        FROM {name} WHERE {surrogate_key} = 11""",
    "versions do not overlap": "UPDATE {name} SET valid_to = valid_to + INTERVAL 1 DAY WHERE {surrogate_key} = 10",
    "a gap is a deletion's": "UPDATE {name} SET valid_to = valid_to - INTERVAL 1 HOUR WHERE {surrogate_key} = 10",
    "the last version ends at the end of time or by a deletion": """
        UPDATE {name} SET valid_to = '2030-01-01' WHERE {surrogate_key} = 30""",
    "no version holds while the member is deleted": """
        UPDATE {name} SET valid_to = '2025-10-12' WHERE {surrogate_key} = 11""",
    "the last version alone is current, unless the member is deleted": """
        UPDATE {name} SET is_current = NOT is_current WHERE {surrogate_key} = 20""",
    "neighbours differ": """
        INSERT INTO {name} SELECT * REPLACE (99 AS {surrogate_key}, TIMESTAMP '2025-10-05' AS valid_from)
        FROM {name} WHERE {surrogate_key} = 11;
        UPDATE {name} SET valid_to = '2025-10-05' WHERE {surrogate_key} = 11""",
    "a version begins when the source told of it": """
        UPDATE {name} SET valid_to = '2025-10-02 23:00' WHERE {surrogate_key} = 10;
        UPDATE {name} SET valid_from = '2025-10-02 23:00' WHERE {surrogate_key} = 11""",
    "every state is in a version with its attributes": "UPDATE {name} SET {v} = 'z' WHERE {surrogate_key} = 30",
    "surrogate keys are unique": "UPDATE {name} SET {surrogate_key} = 10 WHERE {surrogate_key} = 20",
}
OF_FACT = {
    "{surrogate_key} resolves": "UPDATE {fact} SET {surrogate_key} = 999 WHERE {surrogate_key} = 11",
    "{surrogate_key} is the version of its time": "UPDATE {fact} SET {surrogate_key} = 12 WHERE {surrogate_key} = 11",
    "{surrogate_key} is unknown only where the source has no member as of then": """
        UPDATE {fact} SET {surrogate_key} = -1 WHERE {surrogate_key} = 11""",
}
OF_SHOP = {
    "fact_sales: sums are the source's, to the cent": """
        UPDATE fact_sales SET net_amount_usd = net_amount_usd + 0.01 WHERE order_id = 1""",
    "fact_behavior: sums are the source's": "DELETE FROM fact_behavior WHERE event_id = 'b'",
    "fact_sales: USD is at the rate of the order's time, whenever it came": """
        UPDATE fact_sales SET usd_rate = usd_rate + 0.0000000001 WHERE order_id = 1""",
}


#: More of what must not go unseen: (audit, what breaks it).
MORE = (
    ("dim_customer: versions do not overlap", "UPDATE dim_customer SET valid_to = '9999-12-31' WHERE customer_sk = 11"),
    (
        "dim_customer: every state is in a version with its attributes",
        "DELETE FROM dim_customer WHERE customer_sk = 20",
    ),
    (
        "dim_product: a version begins when the source told of it",
        """
        UPDATE dim_product SET valid_from = '2025-10-02' WHERE product_sk = 30""",
    ),
    (
        "dim_product: the last version alone is current, unless the member is deleted",
        """
        UPDATE dim_product SET is_current = true WHERE product_sk = 11""",
    ),
    ("fact_sales: sums are the source's, to the cent", "DELETE FROM fact_sales WHERE order_id = 1"),
    (
        "fact_sales: sums are the source's, to the cent",
        """
        INSERT INTO fact_sales FROM fact_sales WHERE order_id = 1""",
    ),
    (
        "fact_sales: sums are the source's, to the cent",
        """
        UPDATE fact_sales SET gross_amount = gross_amount + (CASE order_id WHEN 1 THEN 0.01 ELSE -0.01 END)
        WHERE order_id IN (1, 2)""",
    ),
)


def words(dimension: Dimension) -> dict[str, object]:
    source, told, held, v = STARS[dimension]
    return {**vars(dimension), "source": source, "told": told, "held": held, "v": v}


PLANTS = {
    **{f"{d.name}: {rule}": sql.format(**words(d)) for d in STARS for rule, sql in OF_DIMENSION.items()},
    **{
        f"{fact}: {rule}".format(**words(d)): sql.format(**words(d), fact=fact)
        for d in STARS
        for fact in ("fact_sales", "fact_behavior")
        for rule, sql in OF_FACT.items()
    },
    **OF_SHOP,
}


def told(plant: str = "") -> set[str]:
    """The audits that tell of a fault in the star in which `plant` was done."""
    with duckdb.connect() as db:
        db.execute("".join(STAR.format(**words(d)) for d in STARS) + FACTS + plant)
        names = [name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return set(faults(SHOP, {name: db.table(name).to_arrow_table() for name in names} | STATES))


def test_a_sound_star_passes() -> None:
    """Deletions make gaps, members that nobody told of are unknown, a touched row is no version."""
    assert told() == set()


@pytest.mark.parametrize("audit", SHOP)
def test_an_audit_tells_of_what_breaks_it_and_no_other_does(audit: str) -> None:
    assert told(PLANTS[audit]) == {audit}


@pytest.mark.parametrize(("audit", "plant"), MORE)
def test_other_faults_of_the_same_kind_are_told(audit: str, plant: str) -> None:
    assert audit in told(plant)
