"""Tables with real rows, written without Spark: what a branch's writer would do, by pyarrow and commits by hand."""

from __future__ import annotations

import io
import json
import time
import uuid

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.delta import ColumnSpec, TableSpec, create_table, fast_forward, latest_version, open_branch, store
from lakehouse.delta.log import commit_file, encode, read_commit
from lakehouse.delta.replay import files_at

COLUMNS = pa.schema([("id", pa.int64()), ("v", pa.string()), ("amount", pa.decimal128(18, 2))])
SPEC = TableSpec((ColumnSpec("id", "BIGINT"), ColumnSpec("v", "STRING"), ColumnSpec("amount", "DECIMAL(18,2)")))


def table_of(rows):
    """Rows as (id, v) or (id, v, amount)."""
    from decimal import Decimal

    whole = [(*row, "1.00")[:3] for row in rows]
    columns = [[r[0] for r in whole], [r[1] for r in whole], [Decimal(r[2]) for r in whole]]
    return pa.table([pa.array(c, field.type) for c, field in zip(columns, COLUMNS, strict=True)], schema=COLUMNS)


def new_file(folder, rows, data_change=True):
    """An add action for a fresh file in `folder`."""
    name, buffer = f"part-{uuid.uuid4()}.parquet", io.BytesIO()
    pq.write_table(table_of(rows), buffer)
    store.replace(f"{folder}/{name}", buffer.getvalue())
    content = {"path": name, "partitionValues": {}, "size": buffer.tell(), "modificationTime": int(time.time() * 1000)}
    return {"add": {**content, "dataChange": data_change, "stats": json.dumps({"numRecords": len(rows)})}}


def work(branch, *actions, operation="WRITE"):
    """Commit actions on the branch."""
    version = latest_version(branch.path) + 1
    assert store.put_if_absent(
        commit_file(branch.path, version), encode([{"commitInfo": {"operation": operation}}, *actions])
    )


class Lake:
    """One table, and branches of it by number."""

    def __init__(self, path, tag="b"):
        self.path, self.tag, self.count = store.canonical(path), tag, 0

    def branch(self, mode="append", name=None):
        self.count += 1
        return open_branch(self.path, f"{self.path}/_branch/{name or f'{self.tag}{self.count}'}/1", SPEC, mode)

    def append(self, *rows, **options):
        """A branch with these rows in a file of its own."""
        branch = self.branch("append", **options)
        work(branch, new_file(branch.path, rows))
        return branch

    def rewrite(self, change, data_change=True, operation="MERGE"):
        """A branch that replaces every file by one: `change` maps the rows."""
        branch = self.branch("clone")
        adds = list(files_at(self.path, branch.base_version).active.values()) if branch.base_version >= 0 else []
        rows = change(self.rows(branch.base_version))
        gone = [{"remove": {**removal(f"{store.uri(self.path)}/{a['path']}", data_change)}} for a in adds]
        added = new_file(branch.path, rows)
        added["add"]["dataChange"] = data_change
        work(branch, *gone, added, operation=operation)
        return branch

    def seed(self, count):
        """Versions 0 to `count` - 1 as somebody else would write them: row (n, "old") each, in a file of its own."""
        create_table(self.path, SPEC)
        for n in range(count):
            actions = [new_file(self.path, [(n, "old")])]
            if n == 0:
                actions = [*read_commit(self.path, 0), *actions]
            store.replace(commit_file(self.path, n), encode(actions))

    def publish(self, branch, app=None, transaction=1, metadata=None, **options):
        return fast_forward(branch, app or branch.id, transaction, metadata or {}, **options)

    def rows(self, version=None):
        if latest_version(self.path) < 0:
            return []
        found = store.delta_table(self.path, version).to_pyarrow_table().to_pylist()
        return sorted((r["id"], r["v"]) for r in found)

    def files(self):
        """Every file under the table's branches."""
        return {f.name for f in store.walk(f"{self.path}/_branch")}

    def data(self):
        return {name for name in self.files() if name.endswith(".parquet")}


def removal(path, data_change=True):
    return {"path": path, "deletionTimestamp": int(time.time() * 1000), "dataChange": data_change}
