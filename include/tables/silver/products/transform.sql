-- One row per product: the latest state the shop reported. Products it deleted are left out.
WITH ranked_states AS (
  SELECT
    product_id,
    sku,
    name,
    category,
    list_price,
    currency,
    is_deleted,
    updated_at,
    ROW_NUMBER() OVER (PARTITION BY product_id ORDER BY updated_at DESC, _row_hash DESC) AS recency
  FROM bronze.products
)

SELECT
  product_id,
  sku,
  name,
  category,
  list_price,
  currency,
  updated_at
FROM ranked_states
WHERE recency = 1 AND NOT is_deleted
