"""The `source` custom property of a bronze contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, get_args

from lakehouse.clock import in_utc
from lakehouse.contracts import databases, files, kafka
from lakehouse.contracts.model import SchemaPolicy, Source
from lakehouse.contracts.properties import duration

_REQUIRED = {"connection", "type", "object", "cursor", "initialValue"}
_OPTIONAL = {"lookback", "chunk", "watermarkKey", "emptyIsError", "missingIsError", "schemaPolicy", "options"}
#: Kinds of source, and what `options` of each may say: {name: (type, whether it must be there)}.
KINDS: dict[str, dict[str, tuple[type, bool]]] = {
    "snowflake": {"sliceRows": (int, False), "unload": (dict, False)},
    "redshift": {"sliceRows": (int, False), "unload": (dict, False)},
    "files": dict.fromkeys(("pattern", "format", "delimiter", "encoding", "occurrence"), (str, False)),
    "salesforce": {},
    # Where a stream begins (earliest, latest), and how many records it takes at a time.
    "kafka": {"startingOffsets": (str, False), "batchRecords": (int, False)},
    "http": {
        # Parameters that bound the cursor: after `low`, up to `high` (ISO 8601, UTC).
        "low": (str, True),
        "high": (str, True),
        # Parameters of every request, {name: value}.
        "params": (dict, False),
        # Where in the answer the list of records is, and what leads to the next page: names with dots between them.
        "records": (str, False),
        "next": (str, False),
        # Parameter that takes the value of `next`; without it that value is the next page's address.
        "token": (str, False),
        # Parameter that counts pages from 1, up to one without records.
        "page": (str, False),
        # Minutes from one row of a series to its next (default 60), where missingIsError asks for all of them.
        "stepMinutes": (int, False),
    },
}
#: What else is to be checked of the options of a kind: function(options, columns) -> (option, what, remedy).
CHECKS: dict[str, Callable[[dict[str, Any], set[str]], Iterable[tuple[str, str, str]]]] = {
    "files": files.option_faults,
    "kafka": kafka.option_faults,
    "snowflake": partial(databases.option_faults, "snowflake"),
    "redshift": partial(databases.option_faults, "redshift"),
}
#: Kinds that can be asked for counts and sums of their own.
COUNTED = ("snowflake", "redshift")

Complain = Callable[[str, str, str], None]


def read_source(value: Any, columns: set[str], complain: Complain) -> Source | None:
    """`value` as a Source; `complain(key, what, remedy)` is called for each fault, and None returned."""
    if not isinstance(value, dict):
        complain("", "source is not a mapping", f"Give {', '.join(sorted(_REQUIRED))}.")
        return None
    faults = 0
    for key in sorted(_REQUIRED - set(value)):
        complain(key, f"source.{key} is missing", "Add it.")
        faults += 1
    for key in sorted(set(value) - _REQUIRED - _OPTIONAL):
        complain(key, f"source.{key} is unknown", f"Known: {', '.join(sorted(_REQUIRED | _OPTIONAL))}.")
        faults += 1
    if value.get("cursor") is not None and str(value["cursor"]) not in columns:
        complain("cursor", f"cursor '{value['cursor']}' is no column of this contract", "Name one of its columns.")
        faults += 1
    for key in ("emptyIsError", "missingIsError"):
        if not isinstance(value.get(key, False), bool):
            complain(key, f"source.{key} is '{value[key]}'", "Write true or false, without quotes.")
            faults += 1
    faults += _kind_faults(value, columns, complain)
    policy = value.get("schemaPolicy", "keep")
    if policy not in get_args(SchemaPolicy):
        complain("schemaPolicy", f"schema policy '{policy}'", f"Use one of: {', '.join(get_args(SchemaPolicy))}.")
        faults += 1

    key = value.get("watermarkKey", "")
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z0-9_.-]*", key):
        complain(
            "watermarkKey", f"source.watermarkKey {key!r}", "Use letters, digits, _, . and -: stores take no other."
        )
        faults += 1

    def parsed(key: str, reader: Callable[[object], Any], default: Any) -> Any:
        nonlocal faults
        if key not in value:
            return default
        try:
            return reader(value[key])
        except ValueError as error:
            complain(key, f"source.{key}: {error}", "Write ISO 8601, e.g. PT6H or 2025-09-01T00:00:00Z.")
            faults += 1
            return default

    initial = parsed("initialValue", in_utc, None)
    lookback = parsed("lookback", duration, timedelta(0))
    chunk = parsed("chunk", duration, timedelta(days=3650))
    if faults:
        return None
    return Source(
        connection=value["connection"],
        kind=value["type"],
        object=value["object"],
        cursor=value["cursor"],
        initial_value=initial,
        lookback=lookback,
        chunk=chunk,
        watermark_key=key or re.sub(r"[^a-z0-9_-]+", "_", f"{value['connection']}_{value['object']}".lower()),
        empty_is_error=value.get("emptyIsError", False),
        missing_is_error=value.get("missingIsError", False),
        schema_policy=policy,
        options=dict(value.get("options") or {}),
    )


def _kind_faults(value: dict[str, Any], columns: set[str], complain: Complain) -> int:
    """Complain of an unknown kind, and of options that do not fit it; how many faults."""
    kind, options = str(value.get("type")), value.get("options") or {}
    if kind not in KINDS:
        complain("type", f"source type '{kind}' is unknown", f"Use one of: {', '.join(KINDS)}.")
        return 1
    if not isinstance(options, dict):
        complain("options", "source.options is no mapping", "Give names and values.")
        return 1
    allowed, faults = KINDS[kind], 0
    for name in options:
        if name not in allowed:
            known = ", ".join(allowed) or "none"
            complain("options", f"source.options.{name} is unknown for type {kind}", f"Known: {known}.")
        elif type(options[name]) is not allowed[name][0]:
            complain("options", f"source.options.{name} is no {allowed[name][0].__name__}", "Mend its value.")
        elif allowed[name][0] is int and options[name] < 1:
            complain("options", f"source.options.{name} is {options[name]}", "Give a number above 0.")
        else:
            continue
        faults += 1
    for name, (_, required) in allowed.items():
        if required and name not in options:
            complain("options", f"source.options.{name} is missing", f"A source of type {kind} needs it.")
            faults += 1
    if not faults and kind in CHECKS:
        for name, what, remedy in CHECKS[kind](options, columns):
            complain("options", f"source.options.{name}: {what}" if name else what, remedy)
            faults += 1
    return faults
