-- One row per order: the latest state the shop reported. Orders it deleted are left out.
WITH ranked_states AS (
  SELECT
    order_id,
    order_ts,
    customer_id,
    status,
    currency,
    country,
    is_deleted,
    updated_at,
    ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY updated_at DESC, _row_hash DESC) AS recency
  FROM bronze.orders
)

SELECT
  order_id,
  order_ts,
  CAST(order_ts AS DATE) AS order_date,
  customer_id,
  status,
  currency,
  country,
  updated_at
FROM ranked_states
WHERE recency = 1 AND NOT is_deleted
