-- One row per order line, pointing at the customer and product as they were when the order was placed.
-- A line whose order is deleted or has not arrived waits for it; an unknown member is -1 until it comes.
SELECT
  items.order_id,
  items.line_number,
  orders.order_date,
  orders.order_ts,
  YEAR(orders.order_date) * 10000 + MONTH(orders.order_date) * 100 + DAY(orders.order_date) AS date_key,
  COALESCE(customers.customer_sk, -1) AS customer_sk,
  COALESCE(products.product_sk, -1) AS product_sk,
  orders.customer_id,
  items.product_id,
  orders.status,
  orders.currency,
  orders.country,
  items.quantity,
  items.unit_price,
  items.discount,
  CAST(items.quantity * items.unit_price AS DECIMAL(18, 2)) AS gross_amount,
  items.line_amount AS net_amount
FROM silver.order_items AS items
INNER JOIN silver.orders AS orders ON items.order_id = orders.order_id
LEFT JOIN gold.dim_customer AS customers
  ON orders.customer_id = customers.customer_id
  AND customers.valid_from <= orders.order_ts
  AND orders.order_ts < customers.valid_to
LEFT JOIN gold.dim_product AS products
  ON items.product_id = products.product_id
  AND products.valid_from <= orders.order_ts
  AND orders.order_ts < products.valid_to
