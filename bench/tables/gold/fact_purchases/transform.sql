-- One row per purchase, pointing at the member as he or she was then.
SELECT
  purchases.purchase_id,
  COALESCE(members.member_sk, -1) AS member_sk,
  purchases.purchased_at,
  purchases.member_id,
  purchases.amount,
  purchases.state,
  purchases.purchase_date
FROM silver.purchases AS purchases
LEFT JOIN gold.dim_member AS members
  ON
    purchases.member_id = members.member_id
    AND purchases.purchased_at >= members.valid_from
    AND purchases.purchased_at < members.valid_to
