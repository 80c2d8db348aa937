"""From contracts to the Glue catalog: native Delta tables, as Athena's engine 3, Redshift Spectrum and Trino read them.

(Bronze's files are Parquet's second version, see `bronze.form`: Athena and Trino know it.)

Athena reads files and types from the Delta log; Lake Formation needs the columns in Glue to agree with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lakehouse import paths
from lakehouse.contracts.model import Contract
from lakehouse.errors import ConfigError
from lakehouse.provision.kinds import OWNER, Body
from lakehouse.sections import Target

#: What Glue takes of a column's comment and a description.
_COMMENT, _DESCRIPTION = 255, 2048


def key_of(target: Target, contract: Contract) -> str:
    """database.table."""
    return f"{database_of(target, contract.layer)}.{contract.table.lower()}"


def database_of(target: Target, layer: str) -> str:
    """The Glue database of a layer."""
    return target.database.format(layer=layer)


def databases(target: Target, contracts: Iterable[Contract]) -> dict[str, Body]:
    """One a layer. Raises ConfigError where the lake is not on S3."""
    return {database_of(target, layer): _database(target, layer) for layer in sorted({c.layer for c in contracts})}


def _database(target: Target, layer: str) -> Body:
    return {
        "description": f"The {layer} tables of the lakehouse.",
        "location": _location(f"{paths.lake()}/{layer}"),
        # Without this every new table would be readable by whoever may read S3, LF-tags or not.
        "open_to": [],
        "parameters": {OWNER: target.owner},
    }


def table(target: Target, contract: Contract, grown: Mapping[str, str] | None = None) -> Body:
    """The entry of one table; `grown` are columns {name: Spark SQL type} that it has beyond its contract.

    Partition columns are ordinary ones here: the Delta log knows the partitions.
    """
    from lakehouse.pipeline.spec import table_spec

    columns = {
        column.name.lower(): {"type": hive_type(column.type), "comment": _line(column.comment, _COMMENT)}
        for column in table_spec(contract, grown).columns
    }
    return {
        "description": _line(contract.description, _DESCRIPTION),
        "location": _location(paths.table(contract.name)),
        "type": "EXTERNAL_TABLE",
        "columns": columns,
        "parameters": {
            OWNER: target.owner,
            # Athena goes by table_type, Spark and Trino by the provider.
            "EXTERNAL": "TRUE",
            "table_type": "DELTA",
            "classification": "delta",
            "spark.sql.sources.provider": "delta",
            **_told(contract),
        },
    }


def _told(contract: Contract) -> dict[str, str]:
    told = {
        "contract.version": contract.version,
        "contract.owner": contract.owner,
        "contract.primaryKey": ",".join(contract.primary_key),
        "contract.partitionBy": ",".join(contract.partition_by),
        "contract.tags": ",".join(contract.tags),
        **{f"contract.sla.{name}": _sla(value) for name, value in contract.sla.items()},
    }
    return {name: value for name, value in told.items() if value}


def _sla(value: Mapping[str, Any]) -> str:
    return " ".join(str(value[part]) for part in ("value", "unit") if value.get(part) is not None)


def hive_type(sql: str) -> str:
    """A Spark SQL type in Glue's words: DECIMAL(18, 2) -> decimal(18,2)."""
    return sql.lower().replace(" ", "")


def _line(text: str, most: int) -> str:
    """One line: Glue takes no line breaks in comments."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _location(path: str) -> str:
    """S3's own scheme: Athena knows no s3a."""
    scheme, _, rest = path.partition("://")
    if scheme not in ("s3", "s3a") or not rest:
        raise ConfigError(f"A catalog cannot name {path}: it is not on S3.", "Set `lake` to s3a://bucket/prefix.")
    return f"s3://{rest}"
