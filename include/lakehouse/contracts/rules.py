"""Rules of a contract: those the schema implies, and those its quality entries write down.

Names are stable and telling: <column>_not_null, _known (enumeration), _wellformed (pattern), _in_range, _length,
<key>_unique, <column>_references. A quality entry gives its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lakehouse.contracts.model import Column, Disposition, Rule
from lakehouse.contracts.sql import query_problem
from lakehouse.sqltext import literal, quote

#: Prefix of a token whose raw value did not match its column's pattern (see `lakehouse.ingest.protect`).
MALFORMED_TOKEN = "malformed:"  # noqa: S105 - a marker, not a secret


def one_of(column: str, values: list[Any]) -> str:
    """Predicate: `column` is null or one of `values`."""
    return f"{quote(column)} IS NULL OR {quote(column)} IN ({', '.join(map(literal, values))})"


def implied(column: Column, prop: dict[str, Any], default: Disposition, line: int) -> Iterator[Rule]:
    """The row rules that a column's required, enum (ODCS 3.2) and logicalTypeOptions imply."""
    name = quote(column.name)
    options = prop.get("logicalTypeOptions") or {}

    def rule(suffix: str, kind: Any, predicate: str, **params: Any) -> Rule:
        return Rule(
            f"{column.name}_{suffix}",
            kind,
            (column.name,),
            disposition=default,
            predicate=predicate,
            params=params,
            line=line,
        )

    if column.required:
        yield rule("not_null", "not_null", f"{name} IS NOT NULL")
    if prop.get("enum"):
        values = [entry["value"] for entry in prop["enum"]]
        yield rule("known", "one_of", one_of(column.name, values), values=values)
    if column.pattern and column.protect:
        predicate = f"{name} IS NULL OR NOT startswith({name}, {literal(MALFORMED_TOKEN)})"
        yield rule("wellformed", "pattern", predicate, regex=f"^(?!{MALFORMED_TOKEN}).*")
    elif column.pattern:
        predicate = f"{name} IS NULL OR {name} RLIKE {literal(column.pattern)}"
        yield rule("wellformed", "pattern", predicate, regex=column.pattern)
    bounds = {k: options[k] for k in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if k in options}
    if bounds:
        signs = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
        tests = " AND ".join(f"{name} {signs[k]} CAST({literal(v)} AS {column.type})" for k, v in bounds.items())
        yield rule("in_range", "range", f"{name} IS NULL OR ({tests})", **bounds)
    lengths = {k: options[k] for k in ("minLength", "maxLength") if k in options}
    if lengths:
        low, high = lengths.get("minLength", 0), lengths.get("maxLength", 2**31 - 1)
        predicate = f"{name} IS NULL OR length({name}) BETWEEN {int(low)} AND {int(high)}"
        yield rule("length", "length", predicate, min_length=low, max_length=high)


def written(
    entry: dict[str, Any],
    column: str,
    default: Disposition,
    custom: dict[str, Any],
    line: int,
    problem: Callable[[str, str], None],
) -> Rule | None:
    """The rule of one quality entry (of `column`, or of the table when ""). Reports what it cannot read."""
    name = entry.get("name")
    if not name:
        problem("a quality rule has no name", "Name it: alerts, quarantine and runbooks speak of rules by name.")
        return None
    severity = entry.get("severity", "critical")
    if severity not in ("critical", "warning"):
        problem(f"rule {name}: severity '{severity}'", "Use critical or warning.")
        return None
    disposition: Disposition = custom.get("disposition") or ("warn" if severity == "warning" else default)
    if disposition not in ("quarantine", "warn", "fail"):
        problem(f"rule {name}: disposition '{disposition}'", "Use quarantine, warn or fail.")
        return None
    common: dict[str, Any] = {
        "severity": "warning" if disposition == "warn" else "critical",
        "disposition": disposition,
        "description": entry.get("description") or "",
        "line": line,
    }
    columns = (column,) if column else ()
    kind, metric = entry.get("type") or "library", entry.get("metric")
    operators = {k: v for k, v in entry.items() if k.startswith("must")}
    if kind == "library" and metric in ("duplicateValues", "invalidValues") and operators != {"mustBe": 0}:
        problem(f"rule {name}: {metric} with a tolerance", "Write mustBe: 0; tolerances are for type sql.")
        return None
    if kind == "custom" and entry.get("engine") == "sparkSql":
        return Rule(name, "row", columns, predicate=str(entry["implementation"]).strip(), **common)
    arguments = entry.get("arguments") or {}
    if kind == "library" and metric == "invalidValues" and column and arguments.get("validValues"):
        values = list(arguments["validValues"])
        return Rule(name, "one_of", columns, predicate=one_of(column, values), params={"values": values}, **common)
    # A rule over the whole table cannot set single rows aside.
    if disposition == "quarantine" and custom.get("disposition"):
        problem(f"rule {name}: a table rule cannot quarantine rows", "Use disposition fail or warn.")
        return None
    if disposition == "quarantine":
        common["disposition"] = "fail"
    if kind == "sql":
        fault = query_problem(entry["query"])
        if fault:
            problem(f"rule {name}: {fault}", "Write one SELECT of one value that reads ${table}.")
            return None
        return Rule(name, "sql", columns, params={"query": entry["query"].strip(), **operators}, **common)
    if kind == "library" and metric == "rowCount":
        return Rule(name, "row_count", (), params=operators, **common)
    unique = tuple(arguments.get("properties") or columns)
    if kind == "library" and metric == "duplicateValues" and unique:
        return Rule(name, "unique", unique, **common)
    problem(
        f"rule {name}: type '{kind}'" + (f", metric '{metric}'" if kind == "library" else ""),
        "Use metric rowCount, duplicateValues (arguments.properties) or, on a column, invalidValues "
        "(arguments.validValues); type sql; or type custom with engine sparkSql. "
        "Nulls, patterns and bounds belong in the schema (required, logicalTypeOptions).",
    )
    return None
