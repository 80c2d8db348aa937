"""What is live against what is wanted: the changes between them. Only reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lakehouse.provision.kinds import Body, Found, Kind

Action = Literal["create", "update", "remove"]


@dataclass(frozen=True)
class Wanted:
    """What there should be of one kind, by key."""

    kind: Kind
    bodies: Mapping[str, Body]
    #: Whether these are all: what is ours and not among them is to go.
    whole: bool = True


@dataclass(frozen=True)
class Change:
    """One thing that is not as it should be."""

    action: Action
    kind: Kind
    key: str
    #: What it is to be; of a removal, nothing.
    body: Body = field(default_factory=dict)
    found: Found | None = None

    @property
    def foreign(self) -> bool:
        """Whether it is there and nobody said that it is ours."""
        return self.found is not None and not self.found.ours

    @property
    def differences(self) -> list[str]:
        """Of an update: "path: before -> after", one for each value."""
        if self.action != "update" or self.found is None:
            return []
        return list(_differences(self.found.body, self.body))

    def to_row(self) -> dict[str, Any]:
        """As one flat, JSON-ready row."""
        row = {"action": self.action, "kind": self.kind.name, "key": self.key, "ours": not self.foreign}
        return {**row, "differences": self.differences}


def plan(wanted: Sequence[Wanted]) -> list[Change]:
    """Every change: what is made in the given order of kinds, then what goes, in the opposite order."""
    made: list[Change] = []
    gone: list[list[Change]] = []
    for want in wanted:
        live = want.kind.live(want.bodies.keys(), want.whole)
        for key, body in want.bodies.items():
            found = live.get(key)
            if found is None:
                made.append(Change("create", want.kind, key, body))
                continue
            aim = want.kind.merge(found.body, body)
            if aim != found.body:
                made.append(Change("update", want.kind, key, aim, found))
        strays = [(key, found) for key, found in live.items() if key not in want.bodies and found.ours]
        gone.append([Change("remove", want.kind, key, found=found) for key, found in strays if want.whole])
    return made + [change for changes in reversed(gone) for change in changes]


def _differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*after, *(name for name in before if name not in after)]:
            yield from _differences(before.get(name), after.get(name), f"{path}.{name}" if path else str(name))
    elif before != after:
        yield f"{path}: {before!r} -> {after!r}"
