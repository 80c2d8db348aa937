-- One row per observed change of a product: the history from which versions are built.
-- From bronze, for silver knows the latest state only. `_deleted` closes the key, `_sequence` orders equal times.
SELECT
  product_id,
  updated_at AS valid_from,
  sku,
  name,
  category,
  list_price,
  currency,
  is_deleted AS _deleted,
  _row_hash AS _sequence
FROM bronze.products
