-- One row per day of the years that facts may fall into. The range is written down: no transform reads the clock.
WITH days AS (
  SELECT EXPLODE(SEQUENCE(DATE '2025-01-01', DATE '2030-12-31', INTERVAL '1' DAY)) AS full_date
)

SELECT
  YEAR(full_date) * 10000 + MONTH(full_date) * 100 + DAY(full_date) AS date_key,
  full_date,
  YEAR(full_date) AS year,
  QUARTER(full_date) AS quarter,
  MONTH(full_date) AS month,
  DATE_FORMAT(full_date, 'MMMM') AS month_name,
  WEEKOFYEAR(full_date) AS week_of_year,
  DAY(full_date) AS day_of_month,
  WEEKDAY(full_date) + 1 AS day_of_week,
  WEEKDAY(full_date) >= 5 AS is_weekend
FROM days
