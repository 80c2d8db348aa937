-- One row per company: the latest state Salesforce reported. Accounts it deleted are left out.
WITH ranked_states AS (
  SELECT
    account_id,
    account_name,
    industry,
    country,
    is_deleted,
    system_modstamp,
    ROW_NUMBER() OVER (PARTITION BY account_id ORDER BY system_modstamp DESC, _row_hash DESC) AS recency
  FROM bronze.salesforce_accounts
)

SELECT
  account_id,
  account_name,
  industry,
  country,
  system_modstamp AS updated_at
FROM ranked_states
WHERE recency = 1 AND NOT is_deleted
