-- One row per order: the latest state the shop reported, with its amount in order currency and in USD.
-- Orders and lines the shop deleted are left out. Rates are against EUR: other currencies go by way of it.
-- Each line is converted and rounded by itself (half up, to the cent): the sum is that of gold.fact_sales.
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
),

placed AS (
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
),

-- The latest rate at or before the order's time, of both currencies; without one that holds there is no USD.
converted AS (
  SELECT
    placed.order_id,
    placed.order_ts,
    placed.order_date,
    placed.customer_id,
    placed.status,
    placed.currency,
    placed.country,
    placed.updated_at,
    CAST(
      CASE
        WHEN placed.currency = 'USD' THEN 1
        WHEN placed.currency = 'EUR' THEN dollars.rate
        ELSE dollars.rate / own.rate
      END AS DECIMAL(18, 10)
    ) AS usd_rate
  FROM placed
  LEFT JOIN silver.exchange_rates AS dollars
    ON
      placed.order_date = dollars.rate_date
      AND placed.order_ts >= dollars.valid_from
      AND placed.order_ts < dollars.valid_to
      AND dollars.base_currency = 'EUR'
      AND dollars.currency = 'USD'
  LEFT JOIN silver.exchange_rates AS own
    ON
      placed.order_date = own.rate_date
      AND placed.currency = own.currency
      AND placed.order_ts >= own.valid_from
      AND placed.order_ts < own.valid_to
      AND own.base_currency = 'EUR'
),

-- From bronze, as silver.order_items has them: that table's gate looks at this one.
ranked_lines AS (
  SELECT
    order_id,
    line_number,
    CAST(quantity * unit_price - COALESCE(discount, CAST(0 AS DECIMAL(18, 2))) AS DECIMAL(18, 2)) AS line_amount,
    is_deleted,
    ROW_NUMBER() OVER (PARTITION BY order_id, line_number ORDER BY updated_at DESC, _row_hash DESC) AS recency
  FROM bronze.order_items
),

order_lines AS (
  SELECT
    order_id,
    line_amount
  FROM ranked_lines
  WHERE recency = 1 AND NOT is_deleted
)

SELECT
  converted.order_id,
  converted.order_ts,
  converted.order_date,
  converted.customer_id,
  converted.status,
  converted.currency,
  converted.country,
  COUNT(order_lines.line_amount) AS lines_count,
  CAST(COALESCE(SUM(order_lines.line_amount), 0) AS DECIMAL(18, 2)) AS order_amount,
  MAX(converted.usd_rate) AS usd_rate,
  CAST(
    CASE
      WHEN MAX(converted.usd_rate) IS NULL THEN NULL
      ELSE COALESCE(SUM(CAST(order_lines.line_amount * converted.usd_rate AS DECIMAL(18, 2))), 0)
    END AS DECIMAL(18, 2)
  ) AS order_amount_usd,
  converted.updated_at
FROM converted
LEFT JOIN order_lines ON converted.order_id = order_lines.order_id
GROUP BY
  converted.order_id,
  converted.order_ts,
  converted.order_date,
  converted.customer_id,
  converted.status,
  converted.currency,
  converted.country,
  converted.updated_at
