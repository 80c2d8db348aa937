"""A column's `relationships` entry -> the rule that every value exists in the other table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lakehouse.contracts import properties, tolerance
from lakehouse.contracts.document import Document, Where
from lakehouse.contracts.model import Rule
from lakehouse.contracts.standard import Problem

#: What ODCS calls a fully qualified reference into another contract.
_QUALIFIED = re.compile(r"^(?P<file>[^#]+)#/?schema/[^/]+/properties/(?P<column>[^/]+)$")


def reference(document: Document, at: Where, column: str, relation: dict[str, Any], problems: list[Problem]) -> Rule:
    """`<column>_references`: critical unless the relationship's custom property severity says warning.

    ODCS gives a relationship no severity of its own, but allows customProperties on it. Nulls refer to nothing.
    """
    line = document.line(at)
    target, key = _target(str(relation.get("to")), document.path.parent)
    if target.count(".") != 1:
        remedy = "Write ../<table>/contract.odcs.yaml#/schema/<table>/properties/<column>, or <layer>.<table>.<column>."
        problems.append((line, f"relationship to '{relation.get('to')}'", remedy))
    custom = properties.read(document, at, properties.RELATIONSHIP, problems)
    severity = custom.get("severity", "critical")
    if severity not in ("critical", "warning"):
        problems.append((line, f"relationship of {column}: severity '{severity}'", "Use critical or warning."))

    def complain(what: str, remedy: str) -> None:
        problems.append((line, f"relationship of {column}: {what}", remedy))

    bears = tolerance.custom(custom.get("tolerance"), complain)
    warns = severity == "warning"
    return Rule(
        f"{column}_references",
        "reference",
        (column,),
        severity="warning" if warns else "critical",
        disposition="warn" if warns else "fail",
        params={"table": target, "column": key, **(bears or {})},
        line=line,
    )


def _target(to: str, folder: Path) -> tuple[str, str]:
    """(layer.table, column) that `to` points at; a path is taken from the contract's own `folder`."""
    qualified = _QUALIFIED.match(to)
    if qualified:
        other = (folder / qualified["file"]).resolve().parent
        return f"{other.parent.name}.{other.name}", qualified["column"]
    table, _, column = to.rpartition(".")
    return table, column
