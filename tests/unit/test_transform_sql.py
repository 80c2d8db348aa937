"""What a query may say of the tables that it reads, and what becomes of it over their views."""

from __future__ import annotations

import pytest

from lakehouse.transform.sql import SqlError, parse_query


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
