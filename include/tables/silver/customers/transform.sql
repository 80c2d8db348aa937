-- One row per customer: the latest state the shop reported. Customers it deleted are left out.
-- E-mail address, name and telephone number arrive here as tokens or masked; bronze never held anything else.
WITH ranked_states AS (
  SELECT
    customer_id,
    email,
    full_name,
    phone,
    segment,
    city,
    country,
    is_deleted,
    created_at,
    updated_at,
    ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY updated_at DESC, _row_hash DESC) AS recency
  FROM bronze.customers
)

SELECT
  customer_id,
  email,
  full_name,
  phone,
  segment,
  city,
  country,
  created_at,
  updated_at
FROM ranked_states
WHERE recency = 1 AND NOT is_deleted
