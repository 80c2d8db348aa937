"""The generated shop in the stand-ins of a home, for tests: brought to any day, and taken away again."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse import aws, connections
from lakehouse.config import PROJECT
from lakehouse.sandbox import vendor
from lakehouse.sandbox.layout import Layout
from lakehouse.sandbox.shop import ShopConfig, ddl
from lakehouse.sandbox.shop.apply import apply_through
from lakehouse.sandbox.shop.model import TABLES
from lakehouse.sandbox.shop.snapshot import snapshot
from lakehouse.sandbox.web import store

#: In a smaller shop a day's faults are above some tables' quarantineThreshold.
CONFIG = ShopConfig()


@dataclass(frozen=True)
class Sources:
    """Every source of the shop: databases and S3 by the connections of this process, the web store of `home`.

    `sent` keeps the vendors' files, what was planted on each day and pictures; a folder for each life of the shop.
    """

    home: Path
    sent: Path
    config: ShopConfig = CONFIG

    @property
    def manifests(self) -> Path:
        """What was planted: day-NNN.json and files-NNN.json."""
        return self.sent / "manifest"

    def live(self, day: int, *, files: bool = True) -> None:
        """Bring the databases, Salesforce and the rates API to the end of `day`; send the files up to it if `files`."""
        with (
            closing(connections.open_source("snowflake_default")) as snowflake,
            closing(connections.open_source("redshift_default")) as redshift,
        ):
            apply_through(snowflake, redshift, day, self.config, manifests=self.manifests, web=self._web)
        if files:
            self.send(day)

    def send(self, day: int) -> None:
        """Send the files up to `day` alone."""
        with closing(connections.open_source(aws.CONNECTION)) as s3:
            vendor.deliver(s3, self.sent / "files", day, self.config, self.manifests)

    def picture(self, day: int) -> dict[str, Path]:
        """{source table: Parquet file} as the databases and the rates API stand now, kept as those of `day`."""
        folder = self.sent / "pictures" / str(day)
        with (
            closing(connections.open_source("snowflake_default")) as snowflake,
            closing(connections.open_source("redshift_default")) as redshift,
        ):
            found = snapshot(snowflake, redshift, folder)
        found["fx_rates"] = folder / "fx_rates.parquet"
        with store.opened(self._web) as web:
            names = store.RATES.names
            rows = web.execute(f"SELECT {', '.join(names)} FROM {store.RATES.name}").fetchall()
        pq.write_table(pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))), found["fx_rates"])
        return found

    def clear(self) -> None:
        """Take away what any shop has left in the sources."""
        with closing(connections.open_source("snowflake_default")) as snowflake, snowflake.cursor() as cursor:
            for table in (*(t.name for t in TABLES.values() if t.source == "snowflake"), ddl.APPLIED):
                cursor.execute(f"DROP TABLE IF EXISTS {ddl.snowflake_table(table)}")
        with closing(connections.open_source("redshift_default")) as redshift, redshift.cursor() as cursor:
            for table in (*(t.name for t in TABLES.values() if t.source == "redshift"), ddl.APPLIED):
                cursor.execute(f"DROP TABLE IF EXISTS {ddl.redshift_table(table)}")
            redshift.commit()
        with store.opened(self._web) as db:
            for name in (*(t.name for t in store.OBJECTS.values()), store.RATES.name, "_applied_days"):
                db.execute(f"DELETE FROM {store.quote(name)}")
        with closing(connections.open_source(aws.CONNECTION)) as s3:
            vendor.fill(s3, self.sent / "files")
            for entry in s3.list_objects_v2(Bucket=vendor.BUCKET).get("Contents", []):
                s3.delete_object(Bucket=vendor.BUCKET, Key=entry["Key"])

    @property
    def _web(self) -> Path:
        return Layout(self.home).web / store.FILE


def adopt(tables: Path, *names: str) -> Path:
    """Copy table folders of the project, as bronze.orders, to the folder of tables `tables`; the last one there."""
    for name in names:
        folder = Path(*name.split("."))
        shutil.copytree(PROJECT / "include" / "tables" / folder, tables / folder)
    return tables / folder
