-- One row per event, from the warehouse's copy of the web shop's events and from the apps' topic. Both deliver at least
-- once, and an event may come by both ways: the latest delivery wins.
WITH deliveries AS (
  SELECT
    event_id,
    event_ts,
    event_type,
    session_id,
    customer_id,
    product_id,
    country,
    page_url,
    loaded_at,
    _row_hash
  FROM bronze.behavior_events
  UNION ALL
  SELECT
    event_id,
    event_ts,
    event_type,
    session_id,
    customer_id,
    product_id,
    country,
    page_url,
    kafka_timestamp AS loaded_at,
    _row_hash
  FROM bronze.shop_events
),

ranked_deliveries AS (
  SELECT
    event_id,
    event_ts,
    event_type,
    session_id,
    customer_id,
    product_id,
    country,
    page_url,
    loaded_at,
    ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY loaded_at DESC, _row_hash DESC) AS recency
  FROM deliveries
)

SELECT
  event_id,
  event_ts,
  CAST(event_ts AS DATE) AS event_date,
  event_type,
  session_id,
  customer_id,
  product_id,
  country,
  page_url,
  loaded_at
FROM ranked_deliveries
WHERE recency = 1
