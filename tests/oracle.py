"""What gold should hold, computed by DuckDB from the source tables as they stood: independent of Spark, SQL and code.

Written from the words of the contracts: which rows are bad, the latest state wins, deleted lines are out, a repeated
row counts once, USD is at the rate of the order's time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

CALENDAR = "BETWEEN TIMESTAMP '2025-01-01' AND TIMESTAMP '2030-12-31 23:59:59.999999'"

GOOD_ORDERS = f"""
    SELECT DISTINCT * FROM orders
    WHERE order_id IS NOT NULL AND customer_id IS NOT NULL AND order_ts IS NOT NULL AND updated_at IS NOT NULL
      AND status IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'returned')
      AND currency IN ('USD', 'EUR', 'GBP') AND is_deleted IS NOT NULL AND order_ts {CALENDAR}
"""
GOOD_LINES = """
    SELECT DISTINCT * FROM order_items
    WHERE order_id IS NOT NULL AND line_number IS NOT NULL AND product_id IS NOT NULL AND updated_at IS NOT NULL
      AND quantity > 0 AND unit_price >= 0 AND is_deleted IS NOT NULL
      AND coalesce(discount, 0) BETWEEN 0 AND quantity * unit_price
"""
GOOD_EVENTS = f"""
    SELECT DISTINCT * FROM behavior_events
    WHERE event_id IS NOT NULL AND event_ts IS NOT NULL AND loaded_at IS NOT NULL
      AND event_type IN ('page_view', 'product_view', 'add_to_cart', 'checkout', 'purchase')
      AND event_ts <= loaded_at + INTERVAL 1 DAY AND event_ts {CALENDAR}
"""

#: Every state of a customer that breaks no rule. Contacts are protected on the way in: they are not compared.
CUSTOMER_STATES = r"""
    SELECT DISTINCT customer_id, updated_at AS told_at, is_deleted AS deleted, segment, city, country FROM customers
    WHERE customer_id IS NOT NULL AND updated_at IS NOT NULL AND is_deleted IS NOT NULL
      AND segment IN ('consumer', 'business', 'vip')
      AND (email IS NULL OR regexp_full_match(email, '[^@\s]+@[^@\s]+\.[^@\s]+'))
"""
PRODUCT_STATES = """
    SELECT DISTINCT product_id, updated_at AS told_at, is_deleted AS deleted, sku, name, category, list_price, currency
    FROM products
    WHERE product_id IS NOT NULL AND updated_at IS NOT NULL AND is_deleted IS NOT NULL AND sku IS NOT NULL
      AND name IS NOT NULL AND list_price >= 0 AND currency IN ('USD', 'EUR', 'GBP')
"""

#: Rates in millionths: what one EUR is worth.
GOOD_RATES = """
    SELECT currency, CAST(rate_ts AS TIMESTAMP) AS since,
        CAST(CAST(rate AS DECIMAL(18, 6)) * 1000000 AS HUGEINT) AS micros
    FROM fx_rates
    WHERE base = 'EUR' AND currency IN ('USD', 'GBP') AND CAST(rate AS DECIMAL(18, 6)) BETWEEN 0.2 AND 5
"""
#: Orders with USD for one of their currency, in units of 1e-10, half up: the latest rate at or before the order's time,
#: no older than three days. Whole numbers only, so nothing is rounded that is not written here.
PRICED_ORDERS = """
    SELECT o.*, dollars.since AS dollars_since, own.since AS own_since, CASE
        WHEN o.currency = 'USD' THEN CAST(10000000000 AS HUGEINT)
        WHEN o.order_ts >= dollars.since + INTERVAL 72 HOURS THEN NULL
        WHEN o.currency = 'EUR' THEN dollars.micros * 10000
        WHEN o.order_ts >= own.since + INTERVAL 72 HOURS THEN NULL
        ELSE (2 * dollars.micros * 10000000000 + own.micros) // (2 * own.micros) END AS usd
    FROM o
    ASOF LEFT JOIN (SELECT since, micros FROM good_rates WHERE currency = 'USD') AS dollars
        ON o.order_ts >= dollars.since
    ASOF LEFT JOIN (SELECT currency AS own_currency, since, micros FROM good_rates) AS own
        ON o.currency = own.own_currency AND o.order_ts >= own.since
"""

#: Every line that is sold, with its order.
LINES = f"""
WITH good_orders AS ({GOOD_ORDERS}), good_lines AS ({GOOD_LINES}), good_rates AS ({GOOD_RATES}),
    o AS (SELECT * FROM good_orders QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY updated_at DESC) = 1),
    p AS ({PRICED_ORDERS}),
    l AS (SELECT * FROM good_lines QUALIFY
        row_number() OVER (PARTITION BY order_id, line_number ORDER BY updated_at DESC) = 1)
SELECT p.* EXCLUDE (updated_at, is_deleted), l.* EXCLUDE (order_id)
FROM l JOIN p USING (order_id) WHERE NOT p.is_deleted AND NOT l.is_deleted
"""
SALES = f"""
WITH sold AS ({LINES})
SELECT CAST(order_ts AS DATE) AS day, currency, count(*) AS lines, sum(quantity) AS quantity,
    sum(quantity * unit_price) AS gross, sum(coalesce(discount, 0)) AS discount,
    sum(quantity * unit_price - coalesce(discount, 0)) AS net, count(usd) AS priced,
    sum((2 * CAST(quantity * unit_price * 100 AS HUGEINT) * usd + 10000000000) // 20000000000) AS gross_cents,
    sum((2 * CAST((quantity * unit_price - coalesce(discount, 0)) * 100 AS HUGEINT) * usd + 10000000000) // 20000000000)
        AS net_cents
FROM sold GROUP BY ALL ORDER BY ALL
"""
EVENTS = f"""
    SELECT DISTINCT * FROM behavior_events
    WHERE event_id IS NOT NULL AND event_ts IS NOT NULL AND loaded_at IS NOT NULL
      AND event_type IN ('page_view', 'product_view', 'add_to_cart', 'checkout', 'purchase')
      AND event_ts <= loaded_at + INTERVAL 1 DAY AND event_ts {CALENDAR}
"""

#: Rates in millionths: what one EUR is worth.
GOOD_RATES = """
    SELECT currency, CAST(rate_ts AS TIMESTAMP) AS since,
        CAST(CAST(rate AS DECIMAL(18, 6)) * 1000000 AS HUGEINT) AS micros
    FROM fx_rates
    WHERE base = 'EUR' AND currency IN ('USD', 'GBP') AND CAST(rate AS DECIMAL(18, 6)) BETWEEN 0.2 AND 5
"""
#: Orders with USD for one of their currency, in units of 1e-10, half up: the latest rate at or before the order's time,
#: no older than three days. Whole numbers only, so nothing is rounded that is not written here.
PRICED_ORDERS = """
    SELECT o.*, CASE
        WHEN o.currency = 'USD' THEN CAST(10000000000 AS HUGEINT)
        WHEN o.order_ts >= dollars.since + INTERVAL 72 HOURS THEN NULL
        WHEN o.currency = 'EUR' THEN dollars.micros * 10000
        WHEN o.order_ts >= own.since + INTERVAL 72 HOURS THEN NULL
        ELSE (2 * dollars.micros * 10000000000 + own.micros) // (2 * own.micros) END AS usd
    FROM o
    ASOF LEFT JOIN (SELECT since, micros FROM good_rates WHERE currency = 'USD') AS dollars
        ON o.order_ts >= dollars.since
    ASOF LEFT JOIN (SELECT currency AS own_currency, since, micros FROM good_rates) AS own
        ON o.currency = own.own_currency AND o.order_ts >= own.since
"""

SALES = f"""
WITH good_orders AS ({GOOD_ORDERS}), good_lines AS ({GOOD_LINES}), good_rates AS ({GOOD_RATES}),
    o AS (SELECT * FROM good_orders QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY updated_at DESC) = 1),
    p AS ({PRICED_ORDERS}),
    l AS (SELECT * FROM good_lines QUALIFY
        row_number() OVER (PARTITION BY order_id, line_number ORDER BY updated_at DESC) = 1)
SELECT CAST(p.order_ts AS DATE) AS day, p.currency AS currency, count(*) AS lines, sum(quantity) AS quantity,
    sum(quantity * unit_price) AS gross, sum(coalesce(discount, 0)) AS discount,
    sum(quantity * unit_price - coalesce(discount, 0)) AS net, count(usd) AS priced,
    sum((2 * CAST(quantity * unit_price * 100 AS HUGEINT) * usd + 10000000000) // 20000000000) AS gross_cents,
    sum((2 * CAST((quantity * unit_price - coalesce(discount, 0)) * 100 AS HUGEINT) * usd + 10000000000) // 20000000000)
        AS net_cents
FROM l JOIN p USING (order_id) WHERE NOT p.is_deleted AND NOT l.is_deleted GROUP BY ALL ORDER BY ALL
"""
EVENTS = f"""
WITH good_events AS ({GOOD_EVENTS}),
    e AS (SELECT * FROM good_events QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY loaded_at DESC) = 1)
SELECT CAST(event_ts AS DATE) AS day, event_type, count(*) AS events, count(DISTINCT session_id) AS sessions,
    count(customer_id) AS known FROM e GROUP BY ALL ORDER BY ALL
"""

GOLD_SALES = """
SELECT order_date AS day, currency, count(*) AS lines, sum(quantity) AS quantity, sum(gross_amount) AS gross,
    sum(discount) AS discount, sum(net_amount) AS net, count(usd_rate) AS priced,
    CAST(sum(gross_amount_usd) * 100 AS HUGEINT) AS gross_cents, CAST(sum(net_amount_usd) * 100 AS HUGEINT) AS net_cents
FROM fact_sales GROUP BY ALL ORDER BY ALL
"""
#: USD of all orders, of silver, against those of all sales.
ORDERS_AND_SALES = """
SELECT (SELECT sum(order_amount_usd) FROM orders), (SELECT sum(order_amount) FROM orders),
    (SELECT sum(net_amount_usd) FROM fact_sales), (SELECT sum(net_amount) FROM fact_sales)
"""
GOLD_EVENTS = """
SELECT event_date AS day, event_type, count(*) AS events, count(DISTINCT session_id) AS sessions,
    count(customer_id) AS known FROM fact_behavior GROUP BY ALL ORDER BY ALL
"""
#: Every measure again by the customer's segment at the time of the order: as-of joins, without the product's SQL.
SALES_BY_SEGMENT = """
SELECT coalesce(c.segment, 'unknown') AS segment, count(*) AS lines, sum(f.net_amount) AS net
FROM fact_sales f LEFT JOIN dim_customer c
    ON c.customer_id = f.customer_id AND f.order_ts >= c.valid_from AND f.order_ts < c.valid_to
GROUP BY ALL ORDER BY ALL
"""
SALES_BY_KEY = """
SELECT coalesce(c.segment, 'no such key') AS segment, count(*) AS lines, sum(f.net_amount) AS net
FROM fact_sales f LEFT JOIN dim_customer c USING (customer_sk) GROUP BY ALL ORDER BY ALL
"""


@contextmanager
def opened(relations: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with each of `relations` by its name.

    They are Arrow tables, Parquet files, lists of these, or SQL over the relations before.
    """
    with duckdb.connect() as db:
        for name, data in relations.items():
            if isinstance(data, str):
                db.execute(f"CREATE TABLE {name} AS {data}")
            elif isinstance(data, Path | list):
                files = [str(file) for file in (data if isinstance(data, list) else [data])]
                db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({files})")
            else:
                db.register(name, data)
        yield db


def ask(sql: str, relations: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of `sql` over `relations` (see `opened`)."""
    with opened(relations) as db:
        return db.execute(sql).fetchall()
