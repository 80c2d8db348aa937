-- One row per person at a company: the latest state Salesforce reported. Contacts it deleted are left out.
-- E-mail address, name and telephone number arrive here as tokens or masked; bronze never held anything else.
WITH ranked_states AS (
  SELECT
    contact_id,
    customer_id,
    account_id,
    email,
    full_name,
    phone,
    is_deleted,
    system_modstamp,
    ROW_NUMBER() OVER (PARTITION BY contact_id ORDER BY system_modstamp DESC, _row_hash DESC) AS recency
  FROM bronze.salesforce_contacts
)

SELECT
  contact_id,
  customer_id,
  account_id,
  email,
  full_name,
  phone,
  system_modstamp AS updated_at
FROM ranked_states
WHERE recency = 1 AND NOT is_deleted
