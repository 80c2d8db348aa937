"""Glue databases and tables. Whose they are is a parameter; what others wrote beside ours stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lakehouse.provision.calls import Absent, AwsFailed, call, pages
from lakehouse.provision.kinds import OWNER, Body, Found, Kind

#: What a table may be written with: get_table tells more than update_table takes.
_WRITABLE = (
    "Owner", "LastAccessTime", "LastAnalyzedTime", "Retention", "StorageDescriptor", "PartitionKeys",
    "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters", "TargetTable",
)  # fmt: skip
#: Trino's and Spark's way to say "this is not Hive's": the log at the location tells files and formats.
_STORAGE = {
    "InputFormat": "org.apache.hadoop.mapred.SequenceFileInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
        "Parameters": {"serialization.format": "1"},
    },
}


class Databases(Kind):
    """Key: name. Body: description, location, parameters, and what tables are open to by default (nobody)."""

    name = "database"

    def __init__(self, owner: str) -> None:
        """`owner` is the value of the owner parameter."""
        self.owner = owner

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """All databases are one page or two."""
        found = {raw["Name"]: self._found(raw) for raw in pages("glue", "get_databases", "DatabaseList", "databases")}
        return {name: one for name, one in found.items() if name in keys or (whole and one.ours)}

    def _found(self, raw: Mapping[str, Any]) -> Found:
        parameters = dict(raw.get("Parameters") or {})
        body = {
            "description": raw.get("Description") or "",
            "location": raw.get("LocationUri") or "",
            "open_to": raw.get("CreateTableDefaultPermissions") or [],
            "parameters": parameters,
        }
        return Found(body, parameters.get(OWNER) == self.owner, raw)

    def create(self, key: str, body: Body) -> None:
        """One call, owner included."""
        call("glue", "create_database", f"database {key}", DatabaseInput=_database(key, body))

    def update(self, key: str, body: Body, found: Found) -> None:
        """Written whole."""
        call("glue", "update_database", f"database {key}", Name=key, DatabaseInput=_database(key, body))

    def delete(self, key: str, found: Found) -> None:
        """Glue would delete every table in it, so it must be empty. Raises AwsFailed where it is not."""
        try:
            left = [table["Name"] for table in pages("glue", "get_tables", "TableList", key, DatabaseName=key)]
            if left:
                named = ", ".join(left[:5])
                raise AwsFailed(f"Database {key} holds tables: {named}.", "Move or remove them first.", "NotEmpty")
            call("glue", "delete_database", f"database {key}", Name=key)
        except Absent:
            return


def _database(key: str, body: Body) -> dict[str, Any]:
    return {
        "Name": key,
        "Description": body["description"],
        "LocationUri": body["location"],
        "CreateTableDefaultPermissions": body["open_to"],
        "Parameters": body["parameters"],
    }


class Tables(Kind):
    """Key: database.table. Body: description, location, columns {name: {type, comment}}, parameters."""

    name = "table"

    def __init__(self, owner: str) -> None:
        """`owner` is the value of the owner parameter."""
        self.owner = owner

    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """One by one, or, for the whole, database by database."""
        if not whole:
            there = ((key, self._table(key)) for key in keys)
            return {key: self._found(raw) for key, raw in there if raw}
        databases = {key.partition(".")[0] for key in keys} | Databases(self.owner).live((), True).keys()
        found = {}
        for database in sorted(databases):
            for raw in self._tables(database):
                key, one = f"{database}.{raw['Name']}", self._found(raw)
                if key in keys or one.ours:
                    found[key] = one
        return found

    def _table(self, key: str) -> Any:
        database, _, name = key.partition(".")
        try:
            return call("glue", "get_table", f"table {key}", DatabaseName=database, Name=name)["Table"]
        except Absent:
            return None

    def _tables(self, database: str) -> list[Any]:
        try:
            return pages("glue", "get_tables", "TableList", f"database {database}", DatabaseName=database)
        except Absent:
            return []

    def _found(self, raw: Mapping[str, Any]) -> Found:
        storage, parameters = raw.get("StorageDescriptor") or {}, dict(raw.get("Parameters") or {})
        columns = {c["Name"]: {"type": c.get("Type"), "comment": c.get("Comment") or ""} for c in storage["Columns"]}
        body = {
            "description": raw.get("Description") or "",
            "location": storage.get("Location") or "",
            "type": raw.get("TableType") or "",
            "columns": columns,
            "parameters": parameters,
        }
        return Found(body, parameters.get(OWNER) == self.owner, raw)

    def create(self, key: str, body: Body) -> None:
        """One call, owner included."""
        database, _, name = key.partition(".")
        call("glue", "create_table", f"table {key}", DatabaseName=database, TableInput=_table(name, body, {}))

    def update(self, key: str, body: Body, found: Found) -> None:
        """Written whole, over what is there."""
        database, _, name = key.partition(".")
        written = _table(name, body, found.raw)
        call("glue", "update_table", f"table {key}", DatabaseName=database, TableInput=written)

    def delete(self, key: str, found: Found) -> None:
        """The entry of the catalog; the data stays where it is."""
        database, _, name = key.partition(".")
        try:
            call("glue", "delete_table", f"table {key}", DatabaseName=database, Name=name)
        except Absent:
            return


def _table(name: str, body: Body, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The TableInput: `body` over all of `raw` that can be written."""
    storage: Mapping[str, Any] = raw.get("StorageDescriptor") or _STORAGE
    there = {column["Name"]: column for column in storage.get("Columns") or ()}
    columns = [
        {**there.get(column, {}), "Name": column, "Type": told["type"], "Comment": told["comment"]}
        for column, told in body["columns"].items()
    ]
    return {
        **{field: raw[field] for field in _WRITABLE if raw.get(field) is not None},
        "Name": name,
        "Description": body["description"],
        "TableType": body["type"],
        "Parameters": body["parameters"],
        "StorageDescriptor": {**storage, "Location": body["location"], "Columns": columns},
    }
