"""Increments: a table's SQL computed for the keys that changed inputs touch, or the reason why it has to be in full.

Planned from logs and SQL alone, then worked out by Spark (keys.py): the changes of each input since the version that
the last publish consumed become affected keys; only rows with these keys are computed, merged or deleted (DESIGN, rule
MOD-1 holds either way).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakehouse import paths
from lakehouse.contracts.model import Contract
from lakehouse.ledger.events import Event
from lakehouse.transform.affected import Handle, handles
from lakehouse.transform.inputs import Input
from lakehouse.transform.spans import Span
from lakehouse.transform.sql import TransformSql

#: Types whose values are no literals: no ranges can be told of them.
_NESTED = ("ARRAY", "MAP", "STRUCT", "BINARY")


@dataclass(frozen=True)
class Increment:
    """What changed since the last publish, and how it reaches the table. `handles` are those of changed inputs."""

    handles: tuple[Handle, ...]
    #: Input -> (path, first version, last version) of each stretch of its change feed.
    feeds: Mapping[str, Sequence[tuple[str, int, int]]]


def plan(
    contract: Contract,
    transform: TransformSql,
    inputs: Mapping[str, Input],
    last: Event | None,
    latest: int,
    from_bytes: int,
    restated: bool = False,
) -> Increment | str:
    """The increment that brings the table, `latest` its version now, up to `inputs`; or why it is computed in full.

    `last` is its last publish; inputs that are smaller than `from_bytes` together are cheaper to read in full.
    `restated`: keys of a range are computed too, whatever their SQL was and however small the inputs are.
    """
    from lakehouse.delta import changed_since, feed_problem, table_stats

    if last is None or latest < 0 or last.version < 0:
        return "it is the first load"
    if not restated and (last.contract, last.sql) != (contract.fingerprint, transform.fingerprint):
        return "its contract or SQL changed"
    if changed_since(paths.table(contract.name), last.version, latest):
        return "rows were changed after its last publish"
    size = sum(table_stats(source.published).bytes for source in inputs.values())
    if not restated and size < from_bytes:
        return f"its inputs are small ({size:,} bytes)"
    found = reached(contract, transform, inputs)
    if isinstance(found, str):
        return found
    feeds = {}
    for name, source in inputs.items():
        if name not in last.consumed:
            return f"{name} was not read before"
        feeds[name] = source.feeds(last.consumed[name])
        for path, low, high in feeds[name]:
            problem = feed_problem(path, low, high)
            if problem:
                return f"the changes of {name} are gone: {problem}"
    return Increment(tuple(h for h in found if restated or feeds[h.table]), {n: f for n, f in feeds.items() if f})


def reached(contract: Contract, transform: TransformSql, inputs: Mapping[str, Input]) -> list[Handle] | str:
    """The handles of a table, declared or derived; or why changes of its inputs cannot be followed."""
    if contract.affected_keys:
        return declared(contract, inputs)
    found = derived(contract, transform, inputs)
    return "its SQL does not say which keys a change touches; declare them as affectedKeys" if found is None else found


def declared(contract: Contract, inputs: Mapping[str, Input]) -> list[Handle] | str:
    """The handles that the contract writes down; or why they do not say how every change reaches the table."""
    keys = contract.affected_keys
    for table in sorted(inputs.keys() | keys.keys()):
        if table not in keys:
            return f"its affectedKeys do not say how a change of {table} reaches it"
        if table not in inputs:
            return f"its affectedKeys name {table}, which its SQL does not read"
        unknown = {name.lower() for name in keys[table]} - {name.lower() for name in _schema(inputs[table])}
        if unknown:
            return f"its affectedKeys name {', '.join(sorted(unknown))}, which {table} does not have"
    return [Handle(table, tuple(sorted(pairs.items()))) for table, pairs in keys.items()]


def derived(contract: Contract, transform: TransformSql, inputs: Mapping[str, Input]) -> list[Handle] | None:
    """The handles that follow from the SQL, each by as few columns as will do; None where one input has none.

    Only columns that have the input's type in the table serve: others are cast on their way.
    """
    schema = {name: _schema(source) for name, source in inputs.items()}
    found = handles(transform.tree, {name: {c.lower(): kind for c, kind in of.items()} for name, of in schema.items()})
    if found is None:
        return None
    types = {column.name: column.type for column in contract.columns}
    key = set(contract.scd2.key if contract.scd2 else contract.primary_key)
    kept: list[Handle] = []
    for handle in (_spelt(handle, schema[handle.table], types) for handle in found):
        same = [
            (i, o)
            for i, o in handle.pairs
            if types.get(o) == schema[handle.table].get(i) and not types[o].startswith(_NESTED)
        ]
        chosen = [pair for pair in same if pair[1] in key] or ([] if contract.scd2 else same)
        if not chosen:
            return None
        span = handle.span
        if contract.scd2:
            # A change opens a version at its own time, and reaches none before the one that it ends.
            span = next((Span(o, i, i) for i, o in same if o == "valid_from"), None)
        elif span and {schema[handle.table][span.low], schema[handle.table][span.high]} != {types.get(span.output)}:
            span = None
        kept.append(Handle(handle.table, tuple(chosen), handle.alters, span))
    return [h for h in kept if not any(_covers(other, h) for other in kept)]


def _schema(source: Input) -> dict[str, str]:
    from lakehouse.delta import schema_columns

    return {column.name: column.type for column in schema_columns(source.path)}


def _spelt(handle: Handle, inside: Mapping[str, str], outside: Mapping[str, str]) -> Handle:
    """`handle`, of which SQL's names are in lower case, by the names that input and table have."""
    own, out = ({name.lower(): name for name in names} for names in (inside, outside))
    span = handle.span and Span(
        out.get(handle.span.output, handle.span.output),
        own[handle.span.low],
        own[handle.span.high],
        tuple(sorted(own[name] for name in handle.span.looked_at)),
    )
    return Handle(
        handle.table,
        tuple(sorted((own[i], out.get(o, o)) for i, o in handle.pairs)),
        None if handle.alters is None else frozenset(out.get(o, o) for o in handle.alters),
        span,
    )


def _covers(one: Handle, other: Handle) -> bool:
    """Whether `one` reaches whatever `other` does, by fewer columns."""
    alike = (one.table, one.alters) == (other.table, other.alters) and one.span in (None, other.span)
    return alike and set(one.pairs) < set(other.pairs)


def by_key(contract: Contract, handle: Handle) -> bool:
    """Whether the rows it reaches are looked up in the table as it is, and computed by primary key.

    That can be where the input adds to rows and neither decides which there are nor alters what they are found by. It
    is worth while where they are found by other columns: those of the key go through joins and windows, down to the
    inputs' files.
    """
    columns = {output for _, output in handle.pairs}
    if contract.scd2 or handle.alters is None or columns <= set(contract.primary_key):
        return False
    return not handle.alters & {*columns, *contract.primary_key, *([handle.span.output] if handle.span else [])}
