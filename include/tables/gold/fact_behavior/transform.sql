-- One row per event, pointing at the customer and product as they were when it happened.
-- An unknown member is -1 until it comes; so is the customer of a visitor who has not signed in.
SELECT
  events.event_id,
  events.event_ts,
  events.event_date,
  YEAR(events.event_date) * 10000 + MONTH(events.event_date) * 100 + DAY(events.event_date) AS date_key,
  COALESCE(customers.customer_sk, -1) AS customer_sk,
  COALESCE(products.product_sk, -1) AS product_sk,
  events.customer_id,
  events.product_id,
  events.session_id,
  events.event_type,
  events.country
FROM silver.behavior_events AS events
LEFT JOIN gold.dim_customer AS customers
  ON
    events.customer_id = customers.customer_id
    AND events.event_ts >= customers.valid_from
    AND events.event_ts < customers.valid_to
LEFT JOIN gold.dim_product AS products
  ON
    events.product_id = products.product_id
    AND events.event_ts >= products.valid_from
    AND events.event_ts < products.valid_to
