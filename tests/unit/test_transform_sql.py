"""What a query may say of the tables that it reads, and what becomes of it over their views."""

from __future__ import annotations

import pytest

from lakehouse.config import PROJECT
from lakehouse.contracts import load_contract
from lakehouse.transform.columns import check_columns
from lakehouse.transform.sql import SqlError, parse_query, parse_transform


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT * FROM gold.f TIMESTAMP AS OF '2025-01-01'", "gold.f is read with version"),
        ("SELECT * FROM gold.f VERSION AS OF 3 AS x", "gold.f is read with version"),
        ("SELECT * FROM (silver.a JOIN silver.b ON a.x = b.x)", "silver.a is read with joins"),
        ("SELECT * FROM silver.a PIVOT (sum(x) FOR y IN (1, 2))", "silver.a is read with pivots"),
        ("SELECT * FROM silver.a JOIN b ON a.x = b.x", "table 'b' has no layer"),
    ],
)
def test_what_would_get_lost_is_refused(sql: str, words: str) -> None:
    with pytest.raises(SqlError, match=words):
        parse_query(sql)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT * FROM silver.a", "SELECT * FROM v AS a"),
        ("SELECT * FROM silver.a TABLESAMPLE (10 PERCENT) AS b", "SELECT * FROM v TABLESAMPLE (10 PERCENT) AS b"),
        (
            "SELECT * FROM silver.a LATERAL VIEW EXPLODE(z) t AS w",
            "SELECT * FROM v AS a LATERAL VIEW EXPLODE(z) t AS w",
        ),
        (
            "SELECT /*+ BROADCAST(d) */ * FROM silver.a AS e JOIN silver.a AS d ON e.x = d.y",
            "SELECT /*+ BROADCAST(d) */ * FROM v AS e JOIN v AS d ON e.x = d.y",
        ),
    ],
)
def test_all_else_is_said_of_the_view(sql: str, wanted: str) -> None:
    assert parse_query(sql).over({"silver.a": "v"}) == wanted


@pytest.mark.parametrize(("table", "column"), [("silver/products", "sku"), ("gold/dim_product", "_sequence")])
def test_a_column_that_the_sql_does_not_return_is_named(table: str, column: str) -> None:
    """A versioned dimension is told of its changes, not of its versions."""
    folder = PROJECT / "include" / "tables" / table
    contract, right = load_contract(folder), parse_transform(folder)
    check_columns(contract, right)
    without = ", ".join(name for name in right.columns if name != column)
    with pytest.raises(SqlError, match=f"it does not return {column}, which {contract.name} has to have"):
        check_columns(contract, parse_query(f"SELECT {without} FROM bronze.products"))
    check_columns(contract, parse_query("SELECT *, 1 AS more FROM bronze.products"))
