SELECT
  line_id,
  customer_id,
  order_date,
  quantity,
  price,
  status,
  comment
FROM bronze.lines
