"""Dumps the warehouses' tables as they stand into Parquet, by the real clients: what oracles in tests compare with.

Not an extractor: it knows no watermark and no contract and reads whole tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakehouse.sandbox.shop import ddl
from lakehouse.sandbox.shop.arrow import schema
from lakehouse.sandbox.shop.model import TABLES, WAREHOUSES


def snapshot(snowflake_connection: Any, postgres_connection: Any, folder: Path) -> dict[str, Path]:
    """Write <folder>/<table>.parquet for each table of the warehouses and return the paths by table name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for table in [table for table in TABLES.values() if table.source in WAREHOUSES]:
        on_snowflake = table.source == "snowflake"
        cursor = (snowflake_connection if on_snowflake else postgres_connection).cursor()
        try:
            name = ddl.snowflake_table(table.name) if on_snowflake else ddl.redshift_table(table.name)
            cursor.execute(ddl.select(name, table.names))
            if on_snowflake:
                rows = cursor.fetch_arrow_all(force_return_table=True).rename_columns(list(table.names))
                rows = rows.cast(schema(table))
            else:
                columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(table.names)
                rows = pa.table(dict(zip(table.names, map(list, columns), strict=True)), schema=schema(table))
        finally:
            cursor.close()
        paths[table.name] = folder / f"{table.name}.parquet"
        pq.write_table(rows, paths[table.name])
    # The reads opened a transaction unless the connection commits by itself; leave none behind.
    postgres_connection.commit()
    return paths
