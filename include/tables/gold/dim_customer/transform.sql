-- One row per observed change of a customer: the history from which versions are built.
-- From bronze, for silver knows the latest state only. `_deleted` closes the key, `_sequence` orders equal times.
SELECT
  customer_id,
  updated_at AS valid_from,
  segment,
  city,
  country,
  email,
  full_name,
  phone,
  is_deleted AS _deleted,
  _row_hash AS _sequence
FROM bronze.customers
