-- One row per purchase: its latest state.
WITH ranked_states AS (
  SELECT
    purchase_id,
    purchased_at,
    member_id,
    amount,
    state,
    ROW_NUMBER() OVER (PARTITION BY purchase_id ORDER BY changed_at DESC, _row_hash DESC) AS recency
  FROM bronze.purchases
)

SELECT
  purchase_id,
  purchased_at,
  member_id,
  amount,
  state,
  CAST(purchased_at AS DATE) AS purchase_date
FROM ranked_states
WHERE recency = 1
