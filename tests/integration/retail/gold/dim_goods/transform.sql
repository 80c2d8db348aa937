-- Every line tells what its goods were called; of several names at one moment the last of the alphabet counts.
SELECT
  stock_code,
  invoice_date AS valid_from,
  description,
  FALSE AS _deleted,
  description AS _sequence
FROM bronze.lines
WHERE description IS NOT NULL
