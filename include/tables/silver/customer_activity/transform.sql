-- One row per customer who has ordered (the shop, Snowflake) or clicked while signed in (the web, Redshift).
-- Each side is counted on its own before the join, so that neither multiplies the other.
WITH ordering AS (
  SELECT
    customer_id,
    COUNT(*) AS orders_count,
    COUNT(CASE WHEN status = 'cancelled' THEN order_id END) AS cancelled_orders_count,
    MIN(order_ts) AS first_order_ts,
    MAX(order_ts) AS last_order_ts
  FROM silver.orders
  GROUP BY customer_id
),

browsing AS (
  SELECT
    customer_id,
    COUNT(*) AS events_count,
    COUNT(DISTINCT session_id) AS sessions_count,
    COUNT(CASE WHEN event_type = 'purchase' THEN event_id END) AS purchases_count,
    MAX(event_ts) AS last_event_ts
  FROM silver.behavior_events
  WHERE customer_id IS NOT NULL
  GROUP BY customer_id
)

SELECT
  COALESCE(ordering.customer_id, browsing.customer_id) AS customer_id,
  COALESCE(ordering.orders_count, 0) AS orders_count,
  COALESCE(ordering.cancelled_orders_count, 0) AS cancelled_orders_count,
  ordering.first_order_ts,
  ordering.last_order_ts,
  COALESCE(browsing.events_count, 0) AS events_count,
  COALESCE(browsing.sessions_count, 0) AS sessions_count,
  COALESCE(browsing.purchases_count, 0) AS purchases_count,
  browsing.last_event_ts,
  GREATEST(
    COALESCE(ordering.last_order_ts, browsing.last_event_ts),
    COALESCE(browsing.last_event_ts, ordering.last_order_ts)
  ) AS last_seen_ts
FROM ordering
FULL OUTER JOIN browsing ON ordering.customer_id = browsing.customer_id
