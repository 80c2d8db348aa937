"""A small lakehouse of its own for the pipeline's tests: the stand-ins without Airflow, and tables made on the spot."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import aws, connections, paths
from lakehouse.config import settings
from lakehouse.delta import store
from lakehouse.manifest import load
from lakehouse.pipeline.batch import Batch, Run
from lakehouse.pipeline.run import run_tables
from lakehouse.sandbox import buckets, envfile
from tests.platform import platform_at

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.integration)


HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: {layer}.{table}
version: 1.0.0
status: active
description: {{purpose: A table of a test.}}
team: {{name: Test, members: [{{username: owner@test.example}}]}}
schema:
  - name: {table}
    physicalType: table
    properties:
{columns}
{rules}
customProperties:
{custom}
"""


@dataclass
class Lakehouse:
    """Table folders under `tables`, and ways to feed and run them."""

    tables: Path

    def table(self, name: str, columns: str, custom: str, sql: str = "", rules: str = "") -> None:
        """Write a table folder; `columns`, `rules` and `custom` are YAML in the contract's own terms."""
        layer, _, table = name.partition(".")
        folder = self.tables / layer / table
        folder.mkdir(parents=True, exist_ok=True)
        text = HEAD.format(
            layer=layer,
            table=table,
            columns=textwrap.indent(textwrap.dedent(columns).strip(), " " * 6),
            rules=textwrap.indent("quality:\n" + textwrap.indent(textwrap.dedent(rules).strip(), "  "), " " * 4)
            if rules
            else "",
            custom=textwrap.indent(textwrap.dedent(custom).strip(), "  "),
        )
        (folder / "contract.odcs.yaml").write_text(text)
        if sql:
            (folder / "transform.sql").write_text(textwrap.dedent(sql).strip() + "\n")

    def snowflake(self, *statements: str) -> None:
        """Run statements in the Snowflake stand-in."""
        with closing(connections.open_source("snowflake_default")) as opened, opened.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def run(self, selector: str, start: str, end: str, kind: str = "scheduled", run_id: str = "") -> list[Batch]:
        """Run tables for (start, end]."""
        low, high = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
        return self.run_as(selector, Run(run_id or f"test/{start}/{end}/{kind}", kind, end=high, start=low))  # type: ignore[arg-type]

    def run_as(self, selector: str, run: Run) -> list[Batch]:
        """Run tables for `run`."""
        tables = load()
        return run_tables(
            tables, tables.select(selector), run, connections.open_source, lambda: b"key", lambda table, step: None
        )

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Rows of a published table, operational columns aside."""
        table = store.delta_table(paths.table(name)).to_pyarrow_table()
        names = [n for n in table.column_names if not n.startswith("_")]
        return sorted(table.select(names).to_pylist(), key=str)

    def log(self, name: str) -> dict[str, bytes]:
        """Every file of a table's log."""
        folder = Path(paths.table(name)) / "_delta_log"
        return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("lakehouse")
    with platform_at(home, airflow=False):
        yield home


@contextmanager
def lake_at(home: Path, stand_ins: Path, bucket: str = "") -> Iterator[Lakehouse]:
    """The lake and the folder of tables under `home`, fed by the sources of `stand_ins`.

    With `bucket` the lake is in it, made where there is none, in the S3 of `stand_ins`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKEHOUSE_HOME", str(home))
        patch.setenv("LAKEHOUSE_LAKE", f"s3a://{bucket}/lake" if bucket else "")
        patch.setenv("LAKEHOUSE_TABLES", str(home / "tables"))
        for line, value in envfile.read(envfile.path(stand_ins)).items():
            if line.startswith("AIRFLOW_CONN_"):
                patch.setenv(line, value)
        settings.cache_clear()
        if bucket:
            with closing(connections.open_source(aws.CONNECTION)) as s3:
                buckets.make(s3, bucket)
        yield Lakehouse(home / "tables")
    settings.cache_clear()


@pytest.fixture
def lakehouse(stand_ins: Path, tmp_path: Path) -> Iterator[Lakehouse]:
    """An empty lake and an empty folder of tables: LAKEHOUSE_TABLES is all that tables need."""
    with lake_at(tmp_path, stand_ins) as lake:
        yield lake
