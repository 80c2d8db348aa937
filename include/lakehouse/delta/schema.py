"""Column types in both spellings: Spark SQL (`DECIMAL(18,2)`, `ARRAY<STRING>`) and Delta's schema JSON.

Only types that every reader of protocol version 1 knows; others would raise the table's protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError

if TYPE_CHECKING:
    from sqlglot import exp

#: sqlglot's name -> Delta's name -> Spark SQL's name.
_PLAIN = {
    "BIGINT": ("long", "BIGINT"),
    "INT": ("integer", "INT"),
    "SMALLINT": ("short", "SMALLINT"),
    "TINYINT": ("byte", "TINYINT"),
    "DOUBLE": ("double", "DOUBLE"),
    "FLOAT": ("float", "FLOAT"),
    "BOOLEAN": ("boolean", "BOOLEAN"),
    "TEXT": ("string", "STRING"),
    "BINARY": ("binary", "BINARY"),
    "DATE": ("date", "DATE"),
    "TIMESTAMPTZ": ("timestamp", "TIMESTAMP"),
    "TIMESTAMPLTZ": ("timestamp", "TIMESTAMP"),
}
_SQL = dict(_PLAIN.values())


class TypeUnknown(LakehouseError):
    """A column type that tables of this lake do not have."""


def to_delta(sql_type: str) -> Any:
    """Delta's JSON for a Spark SQL type. Raises TypeUnknown."""
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        return _delta_of(exp.DataType.build(sql_type, dialect="spark"), sql_type)
    except (SqlglotError, ValueError) as error:
        raise _unknown(sql_type) from error


def to_sql(delta_type: Any) -> str:
    """The Spark SQL spelling of a type in Delta's JSON. Raises TypeUnknown."""
    if isinstance(delta_type, str):
        if delta_type in _SQL:
            return _SQL[delta_type]
        if delta_type.startswith("decimal("):
            return delta_type.upper().replace(" ", "")
    elif delta_type["type"] == "array":
        return f"ARRAY<{to_sql(delta_type['elementType'])}>"
    elif delta_type["type"] == "map":
        return f"MAP<{to_sql(delta_type['keyType'])}, {to_sql(delta_type['valueType'])}>"
    elif delta_type["type"] == "struct":
        inner = [f"{_quoted(f['name'])}: {to_sql(f['type'])}" for f in delta_type["fields"]]
        return f"STRUCT<{', '.join(inner)}>"
    raise _unknown(str(delta_type))


def field(name: str, delta_type: Any, nullable: bool = True, comment: str = "") -> dict[str, Any]:
    """A column, or a field of a struct, in Delta's JSON."""
    metadata = {"comment": comment} if comment else {}
    return {"name": name, "type": delta_type, "nullable": nullable, "metadata": metadata}


def shape(delta_type: Any) -> Any:
    """A type without what does not change what is stored: comments, decimal's spelling."""
    if isinstance(delta_type, str):
        return delta_type.replace(" ", "")
    if delta_type["type"] == "struct":
        return [(f["name"], shape(f["type"]), f["nullable"]) for f in delta_type["fields"]]
    if delta_type["type"] == "array":
        return "array", shape(delta_type["elementType"]), delta_type["containsNull"]
    return "map", shape(delta_type["keyType"]), shape(delta_type["valueType"]), delta_type["valueContainsNull"]


def _delta_of(kind: exp.DataType, whole: str) -> Any:
    name = kind.this.name
    inner = kind.expressions
    if name in _PLAIN:
        return _PLAIN[name][0]
    if name == "DECIMAL":
        precision, scale = ([int(p.name) for p in inner] + [10, 0][len(inner) :])[:2]
        return f"decimal({precision},{scale})"
    if name == "ARRAY" and len(inner) == 1:
        return {"type": "array", "elementType": _delta_of(inner[0], whole), "containsNull": True}
    if name == "MAP" and len(inner) == 2:
        key, value = (_delta_of(part, whole) for part in inner)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if name == "STRUCT" and inner:
        return {"type": "struct", "fields": [field(part.name, _delta_of(part.args["kind"], whole)) for part in inner]}
    raise _unknown(whole)


def _quoted(name: str) -> str:
    from sqlglot import exp

    return name if name.isidentifier() else exp.to_identifier(name, quoted=True).sql(dialect="spark")


def _unknown(sql_type: str) -> TypeUnknown:
    known = ", ".join(dict.fromkeys(sql for _, sql in _PLAIN.values()))
    return TypeUnknown(
        f"'{sql_type}' is not a type of this lake's tables.",
        f"Use one of {known}, DECIMAL(p,s), ARRAY<>, MAP<,>, STRUCT<>.",
    )
