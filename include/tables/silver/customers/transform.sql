-- One row per customer of the shop: its latest state there, and the company he or she buys for, from Salesforce.
-- Customers the shop deleted are left out, whatever Salesforce says. Which source wins is in the contract, by column.
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
),

shop AS (
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
),

-- Of several contacts of one customer, the one sales changed last.
ranked_contacts AS (
  SELECT
    customer_id,
    account_id,
    email,
    full_name,
    phone,
    ROW_NUMBER() OVER (PARTITION BY customer_id ORDER BY updated_at DESC, contact_id DESC) AS recency
  FROM silver.contacts
  WHERE customer_id IS NOT NULL
),

contacts AS (
  SELECT
    customer_id,
    account_id,
    email,
    full_name,
    phone
  FROM ranked_contacts
  WHERE recency = 1
)

SELECT
  shop.customer_id,
  COALESCE(shop.email, contacts.email) AS email,
  COALESCE(shop.full_name, contacts.full_name) AS full_name,
  COALESCE(contacts.phone, shop.phone) AS phone,
  shop.segment,
  shop.city,
  shop.country,
  contacts.account_id,
  accounts.account_name,
  accounts.industry,
  accounts.country AS account_country,
  shop.created_at,
  shop.updated_at
FROM shop
LEFT JOIN contacts ON shop.customer_id = contacts.customer_id
LEFT JOIN silver.accounts AS accounts ON contacts.account_id = accounts.account_id
