SELECT
  visitor_id,
  loaded_at,
  page,
  price,
  seconds,
  mobile
FROM bronze.clicks_snowflake
QUALIFY ROW_NUMBER() OVER (PARTITION BY visitor_id ORDER BY loaded_at DESC, click_id DESC) = 1
