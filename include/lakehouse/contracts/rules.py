"""Rules of a contract: those the schema implies, and those its quality entries write down.

Names are stable and telling: <column>_not_null, _known (enumeration), _wellformed (pattern), _in_range, _length,
<key>_unique, <column>_references. A quality entry gives its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from lakehouse.contracts import tolerance
from lakehouse.contracts.model import Column, Disposition, Kind, Rule
from lakehouse.contracts.sql import query_problem
from lakehouse.repeats import WHOLE
from lakehouse.sqltext import literal, quote

#: Prefix of a token whose raw value did not match its column's pattern (see `lakehouse.ingest.protect`).
MALFORMED_TOKEN = "malformed:"  # noqa: S105 - a marker, not a secret


#: Engine, in the standard's sense, of rules that hold what was loaded against what the source says.
ENGINE = "lakehouse"


def one_of(column: str, values: list[Any]) -> str:
    """Predicate: `column` is null or one of `values`."""
    return f"{quote(column)} IS NULL OR {quote(column)} IN ({', '.join(map(literal, values))})"


def matches(column: str, pattern: str) -> str:
    """Predicate: `column` is null or matches the regular expression."""
    return f"{quote(column)} IS NULL OR {quote(column)} RLIKE {literal(pattern)}"


#: Bounds that logicalTypeOptions may state, and what a value has to be to them.
BOUNDS = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
#: What of logicalTypeOptions becomes a rule.
_RULED = (*BOUNDS, "minLength", "maxLength", "pattern")
#: Those that say how a value is written, of which the column's type says more.
_DESCRIBED = ("format", "precision", "scale", "timezone", "defaultTimezone")


def without_rule(column: Column, prop: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, remedy) for each option of a column that would be taken and hold nobody to anything."""
    options = prop.get("logicalTypeOptions") or {}
    for name in options:
        if name not in (*_RULED, *_DESCRIBED):
            yield f"logicalTypeOptions.{name} makes no rule", "Write it as a quality rule of type custom, sparkSql."
    if column.protect and {"minLength", "maxLength"} & options.keys():
        what = "its length is judged after it was tokenised or masked"
        yield f"logicalTypeOptions: {what}", "Say it by a pattern, which is judged before."
    if column.protect and prop.get("enum"):
        yield "enum: it is judged after it was tokenised or masked", "Say it by a pattern, which is judged before."
    for name in BOUNDS:
        if name in options and value_of(options[name], column.type) is None:
            yield (
                f"logicalTypeOptions.{name} {options[name]} is no {column.type}: the cast would move it",
                "Give a bound that the column can hold.",
            )


def value_of(said: Any, kind: str) -> Any:
    """A bound as a value of the column's type; None where Spark's cast to that type might change it."""
    try:
        if kind == "DATE":
            return date.fromisoformat(str(said))
        if kind == "TIMESTAMP":
            return datetime.fromisoformat(str(said))
        value = Decimal(str(said))
    except (ValueError, InvalidOperation):
        return None
    if kind in WHOLE:
        return value if value == value.to_integral_value() else None
    if kind in ("FLOAT", "DOUBLE"):
        return value
    scale = int(kind.rstrip(")").partition(",")[2] or 0) if kind.startswith("DECIMAL") else -1
    return value if scale >= 0 and round(value, scale) == value else None


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
        yield rule("wellformed", "pattern", matches(column.name, column.pattern), regex=column.pattern)
    bounds = {k: options[k] for k in BOUNDS if k in options}
    if bounds:
        tests = " AND ".join(f"{name} {BOUNDS[k]} CAST({literal(v)} AS {column.type})" for k, v in bounds.items())
        yield rule("in_range", "range", f"{name} IS NULL OR ({tests})", **bounds)
    lengths = {k: options[k] for k in ("minLength", "maxLength") if k in options}
    if lengths:
        low, high = lengths.get("minLength", 0), lengths.get("maxLength", 2**31 - 1)
        # Characters are counted only of text whose bytes are too many: those are known without a look at it. Written
        # twice, or in a BETWEEN, they would be counted ahead of the comparison.
        predicate = f"{name} IS NULL OR octet_length({name}) <= {int(high)} OR length({name}) <= {int(high)}"
        if low:
            predicate = f"{name} IS NULL OR (length({name}) >= {int(low)} AND length({name}) <= {int(high)})"
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

    def complain(what: str, remedy: str) -> None:
        problem(f"rule {name}: {what}", remedy)

    severity = entry.get("severity", "critical")
    if severity not in ("critical", "warning"):
        complain(f"severity '{severity}'", "Use critical or warning.")
        return None
    said = custom.get("disposition")
    disposition: Disposition = said or ("warn" if severity == "warning" else default)
    if disposition not in ("quarantine", "warn", "fail"):
        complain(f"disposition '{disposition}'", "Use quarantine, warn or fail.")
        return None
    shape = _shape(entry, column, complain)
    if shape is None:
        return None
    kind, columns, predicate, params = shape
    counts = kind not in ("row_count", "sql")
    if not counts and entry.get("unit") == "percent":
        complain("unit percent of a number that is no count of bad rows", "Leave it out, or have the query divide.")
        return None
    bears = tolerance.stated(entry, complain) if counts and entry.get("metric") else params
    more = tolerance.custom(custom.get("tolerance"), complain)
    against = tolerance.compared(kind, custom.get("comparedWithRuns"), complain)
    if bears is None or more is None or against is None:
        return None
    if more and entry.get("type") != "custom":
        complain("tolerance", "Write it in the standard's words: an operator (mustBeLessThan: 0.5), unit: percent.")
        return None
    params = {**params, **bears, **more, **against}
    # What speaks of the whole table cannot set single rows aside: nor can a rule that bears some bad rows.
    if disposition == "quarantine" and (not predicate or "unit" in params):
        if said:
            complain("a table rule cannot quarantine rows", "Use disposition fail or warn.")
            return None
        disposition = "fail"
    return Rule(
        name,
        kind,
        columns,
        severity="warning" if disposition == "warn" else "critical",
        disposition=disposition,
        predicate=predicate,
        params=params,
        description=entry.get("description") or "",
        line=line,
    )


Shape = tuple[Kind, tuple[str, ...], str, dict[str, Any]]


def _shape(entry: dict[str, Any], column: str, complain: Callable[[str, str], None]) -> Shape | None:
    """Kind, columns, predicate and params of a quality entry."""
    columns = (column,) if column else ()
    kind, metric = entry.get("type") or "library", entry.get("metric")
    arguments = entry.get("arguments") or {}
    operators = {k: v for k, v in entry.items() if k.startswith("must")}
    if kind == "custom" and entry.get("engine") == "sparkSql":
        return "row", columns, str(entry["implementation"]).strip(), {}
    if kind == "custom" and entry.get("engine") == ENGINE:
        params = source_figure(entry["implementation"], complain)
        return None if params is None else ("source", columns, "", params)
    if kind == "sql":
        fault = query_problem(entry["query"])
        if fault:
            complain(fault, "Write one SELECT of one value that reads ${table}.")
            return None
        return "sql", columns, "", {"query": entry["query"].strip(), **operators}
    if kind == "library" and metric == "rowCount":
        return "row_count", (), "", operators
    if kind == "library" and metric == "duplicateValues" and (arguments.get("properties") or columns):
        return "unique", tuple(arguments.get("properties") or columns), "", {}
    if kind == "library" and metric == "nullValues" and column and "missingValues" in arguments:
        complain("missingValues", "Use missingValues' own rule: invalidValues with a pattern, or custom sparkSql.")
        return None
    if kind == "library" and metric == "invalidValues" and {"validValues", "pattern"} <= arguments.keys():
        complain("both validValues and pattern", "Write two rules.")
        return None
    if kind == "library" and metric == "nullValues" and column:
        return "not_null", columns, f"{quote(column)} IS NOT NULL", {}
    if kind == "library" and metric == "invalidValues" and column and arguments.get("validValues"):
        values = list(arguments["validValues"])
        return "one_of", columns, one_of(column, values), {"values": values}
    if kind == "library" and metric == "invalidValues" and column and arguments.get("pattern"):
        pattern = str(arguments["pattern"])
        return "pattern", columns, matches(column, pattern), {"regex": pattern}
    complain(
        f"type '{kind}'" + (f", metric '{metric}'" if kind == "library" else ""),
        "Use metric rowCount, duplicateValues (arguments.properties) or, on a column, nullValues or invalidValues "
        "(arguments.validValues or .pattern); type sql; or type custom with engine sparkSql, or lakehouse for what the "
        "source says. Bounds belong in the schema (logicalTypeOptions).",
    )
    return None


def source_figure(value: Any, complain: Callable[[str, str], None]) -> dict[str, Any] | None:
    """What the source is asked for, {"source": "rows"} or {"source": "sum", "of": column}. None after a complaint."""
    told = value.get("source") if isinstance(value, dict) and len(value) == 1 else None
    if told == "rows":
        return {"source": "rows"}
    if isinstance(told, dict) and set(told) == {"sum"} and isinstance(told["sum"], str):
        return {"source": "sum", "of": told["sum"]}
    complain(f"implementation {value!r}", "Write {source: rows}, or {source: {sum: <column>}}.")
    return None
