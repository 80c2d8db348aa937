-- Every line tells where its buyer lived; of several countries at one moment the last of the alphabet counts.
SELECT
  customer_id,
  invoice_date AS valid_from,
  country,
  FALSE AS _deleted,
  country AS _sequence
FROM bronze.lines
WHERE customer_id IS NOT NULL
