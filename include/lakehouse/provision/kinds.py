"""A kind of thing in AWS: how it is listed, made, changed and removed. One class a kind, all compared alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.errors import LakehouseError

#: What a thing is, JSON-ready. Mappings are merged with what is live, anything else is replaced by it.
Body = Mapping[str, Any]

#: The tag, or parameter, that tells whose a thing is.
OWNER = "managed-by"


class Bound(LakehouseError):
    """A thing that cannot be changed, or taken away, by itself."""


@dataclass(frozen=True)
class Found:
    """One live thing: its body in the shape of what is wanted, with all that others put there."""

    body: Body
    #: Whether it carries our owner tag.
    ours: bool
    #: As AWS told it, for those who must write it whole.
    raw: Any = None


class Kind(ABC):
    """One kind of thing. Its methods raise what `lakehouse.provision.calls` raises."""

    #: As people read it in a plan.
    name: str

    @abstractmethod
    def live(self, keys: Collection[str], whole: bool) -> dict[str, Found]:
        """Those of `keys` that are there; with `whole`, everything else that is ours too."""

    @abstractmethod
    def create(self, key: str, body: Body) -> None:
        """Make it, owner tag included, in one call. Raises Raced where it is there already."""

    def update(self, key: str, body: Body, found: Found) -> None:
        """Make it `body`, which holds what others put there. Doing it twice does no harm."""
        raise Bound(f"The {self.name} {key} cannot be changed.", "Remove it, then apply again.")

    def delete(self, key: str, found: Found) -> None:
        """Remove it; well too where it is gone."""
        raise Bound(f"The {self.name} {key} goes with what it is on.", "Remove that.")

    def merge(self, live: Body, wanted: Body) -> Body:
        """What to write where `live` is there and `wanted` should be: what others added to it is kept."""
        return merged(live, wanted)


def merged(live: Body, wanted: Body) -> dict[str, Any]:
    """`wanted` in its order, then what only `live` has; mappings in both are merged alike."""
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        there = live.get(name)
        found[name] = merged(there, value) if isinstance(value, Mapping) and isinstance(there, Mapping) else value
    return {**found, **{name: value for name, value in live.items() if name not in found}}
