-- One row per order line: the latest state the shop reported. Lines it deleted are left out.
WITH ranked_states AS (
  SELECT
    order_id,
    line_number,
    product_id,
    quantity,
    unit_price,
    COALESCE(discount, CAST(0 AS DECIMAL(18, 2))) AS discount,
    is_deleted,
    updated_at,
    ROW_NUMBER() OVER (PARTITION BY order_id, line_number ORDER BY updated_at DESC, _row_hash DESC) AS recency
  FROM bronze.order_items
)

SELECT
  order_id,
  line_number,
  product_id,
  quantity,
  unit_price,
  discount,
  CAST(quantity * unit_price - discount AS DECIMAL(18, 2)) AS line_amount,
  updated_at
FROM ranked_states
WHERE recency = 1 AND NOT is_deleted
