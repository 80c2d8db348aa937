-- One row per event. Delivery is at least once: of an event sent again, the latest delivery wins.
WITH ranked_deliveries AS (
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
  FROM bronze.behavior_events
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
