-- One row per order line, pointing at the customer and product as they were when the order was placed.
-- In USD at the rate of the order's time, each amount rounded half up to the cent by itself.
-- A line whose order is deleted or has not arrived waits for it; an unknown member is -1 until it comes.
SELECT
  order_lines.order_id,
  order_lines.line_number,
  orders.order_date,
  orders.order_ts,
  YEAR(orders.order_date) * 10000 + MONTH(orders.order_date) * 100 + DAY(orders.order_date) AS date_key,
  COALESCE(customers.customer_sk, -1) AS customer_sk,
  COALESCE(products.product_sk, -1) AS product_sk,
  orders.customer_id,
  order_lines.product_id,
  orders.status,
  orders.currency,
  orders.country,
  order_lines.quantity,
  order_lines.unit_price,
  order_lines.discount,
  CAST(order_lines.quantity * order_lines.unit_price AS DECIMAL(18, 2)) AS gross_amount,
  order_lines.line_amount AS net_amount,
  orders.usd_rate,
  CAST(
    CAST(order_lines.quantity * order_lines.unit_price AS DECIMAL(18, 2)) * orders.usd_rate AS DECIMAL(18, 2)
  ) AS gross_amount_usd,
  CAST(order_lines.line_amount * orders.usd_rate AS DECIMAL(18, 2)) AS net_amount_usd
FROM silver.order_items AS order_lines
INNER JOIN silver.orders AS orders ON order_lines.order_id = orders.order_id
LEFT JOIN gold.dim_customer AS customers
  ON
    orders.customer_id = customers.customer_id
    AND orders.order_ts >= customers.valid_from
    AND orders.order_ts < customers.valid_to
LEFT JOIN gold.dim_product AS products
  ON
    order_lines.product_id = products.product_id
    AND orders.order_ts >= products.valid_from
    AND orders.order_ts < products.valid_to
