"""What gold should hold, computed by DuckDB from the source tables as they stood: independent of Spark, SQL and code.

Written from the words of the contracts: which rows are bad, the latest state wins, deleted lines are out, a repeated
row counts once.
"""

from __future__ import annotations

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

SALES = f"""
WITH good_orders AS ({GOOD_ORDERS}), good_lines AS ({GOOD_LINES}),
    o AS (SELECT * FROM good_orders QUALIFY row_number() OVER (PARTITION BY order_id ORDER BY updated_at DESC) = 1),
    l AS (SELECT * FROM good_lines QUALIFY
        row_number() OVER (PARTITION BY order_id, line_number ORDER BY updated_at DESC) = 1)
SELECT CAST(o.order_ts AS DATE) AS day, o.currency AS currency, count(*) AS lines, sum(quantity) AS quantity,
    sum(quantity * unit_price) AS gross, sum(coalesce(discount, 0)) AS discount,
    sum(quantity * unit_price - coalesce(discount, 0)) AS net
FROM l JOIN o USING (order_id) WHERE NOT o.is_deleted AND NOT l.is_deleted GROUP BY ALL ORDER BY ALL
"""
EVENTS = f"""
WITH good_events AS ({GOOD_EVENTS}),
    e AS (SELECT * FROM good_events QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY loaded_at DESC) = 1)
SELECT CAST(event_ts AS DATE) AS day, event_type, count(*) AS events, count(DISTINCT session_id) AS sessions,
    count(customer_id) AS known FROM e GROUP BY ALL ORDER BY ALL
"""

GOLD_SALES = """
SELECT order_date AS day, currency, count(*) AS lines, sum(quantity) AS quantity, sum(gross_amount) AS gross,
    sum(discount) AS discount, sum(net_amount) AS net FROM fact_sales GROUP BY ALL ORDER BY ALL
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


def ask(sql: str, tables: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Rows of `sql` over `tables`: Parquet files or Arrow tables by name."""
    with duckdb.connect() as db:
        for name, data in tables.items():
            if isinstance(data, Path):
                db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{data}')")
            else:
                db.register(name, data)
        return db.execute(sql).fetchall()
