-- An invoice may have several lines of the same goods, equal ones too: numbered by all that they say.
WITH numbered_lines AS (
  SELECT
    invoice_no,
    stock_code,
    ROW_NUMBER() OVER (
      PARTITION BY invoice_no, stock_code
      ORDER BY invoice_date, quantity, unit_price, description, customer_id, country, line
    ) AS position,
    invoice_date,
    customer_id,
    quantity,
    CAST(quantity * unit_price AS DECIMAL(18, 2)) AS amount
  FROM bronze.lines
)

SELECT
  numbered_lines.invoice_no,
  numbered_lines.stock_code,
  numbered_lines.position,
  numbered_lines.invoice_date,
  COALESCE(goods.goods_sk, -1) AS goods_sk,
  COALESCE(buyers.buyer_sk, -1) AS buyer_sk,
  numbered_lines.customer_id,
  numbered_lines.quantity,
  numbered_lines.amount
FROM numbered_lines
LEFT JOIN gold.dim_goods AS goods
  ON
    numbered_lines.stock_code = goods.stock_code
    AND numbered_lines.invoice_date >= goods.valid_from
    AND numbered_lines.invoice_date < goods.valid_to
LEFT JOIN gold.dim_buyer AS buyers
  ON
    numbered_lines.customer_id = buyers.customer_id
    AND numbered_lines.invoice_date >= buyers.valid_from
    AND numbered_lines.invoice_date < buyers.valid_to
