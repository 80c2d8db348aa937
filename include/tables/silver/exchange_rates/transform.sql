-- One row per currency and stretch of a day in which one rate holds: from its hour until the next one's, 72 hours at
-- most. Of several values for an hour the one published last holds. Cut at midnights: a reader finds a rate by its day.
WITH ranked_rates AS (
  SELECT
    base_currency,
    currency,
    rate_ts,
    rate,
    ROW_NUMBER() OVER (
      PARTITION BY base_currency, currency, rate_ts
      ORDER BY published_at DESC, _row_hash DESC
    ) AS recency
  FROM bronze.fx_rates
),

chained AS (
  SELECT
    base_currency,
    currency,
    rate_ts,
    rate,
    rate_ts + INTERVAL '72' HOUR AS stale_from,
    LEAD(rate_ts) OVER (PARTITION BY base_currency, currency ORDER BY rate_ts) AS next_ts
  FROM ranked_rates
  WHERE recency = 1
),

spans AS (
  SELECT
    base_currency,
    currency,
    rate_ts,
    rate,
    CASE WHEN next_ts < stale_from THEN next_ts ELSE stale_from END AS ends_at
  FROM chained
),

-- Seventy-two hours lie on four days at most.
days AS (
  SELECT INTERVAL '0' HOUR AS later
  UNION ALL
  SELECT INTERVAL '24' HOUR AS later
  UNION ALL
  SELECT INTERVAL '48' HOUR AS later
  UNION ALL
  SELECT INTERVAL '72' HOUR AS later
),

cut AS (
  SELECT
    spans.base_currency,
    spans.currency,
    spans.rate_ts,
    spans.rate,
    spans.ends_at,
    DATE_TRUNC('DAY', spans.rate_ts) + days.later AS midnight
  FROM spans
  CROSS JOIN days
)

SELECT
  base_currency,
  currency,
  GREATEST(rate_ts, midnight) AS valid_from,
  LEAST(ends_at, midnight + INTERVAL '24' HOUR) AS valid_to,
  CAST(midnight AS DATE) AS rate_date,
  rate,
  rate_ts
FROM cut
WHERE midnight < ends_at
