"""Making what is live what is wanted. Safe to do again after any failure, and beside others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lakehouse import log
from lakehouse.errors import LakehouseError
from lakehouse.provision.calls import AwsFailed, AwsUnavailable, Raced
from lakehouse.provision.compare import Change, Wanted, plan

#: How often it is compared anew when others change the same things meanwhile.
ROUNDS = 3


class ForeignResource(LakehouseError):
    """Things of the wanted names are there, and are not ours."""


class ApplyFailed(LakehouseError):
    """Some changes were not made. `done` are those that were, `errors` what the others said."""

    def __init__(self, done: Sequence[Change], errors: Sequence[LakehouseError]) -> None:
        """Every error, and how far it came."""
        told = "\n".join(str(error) for error in errors)
        super().__init__(
            f"{len(done)} changes were made, {len(errors)} were not:\n{told}",
            "Mend that and apply again: it goes on from what is there.",
        )
        self.done, self.errors = tuple(done), tuple(errors)


def apply(
    wanted: Sequence[Wanted],
    *,
    remove: bool = False,
    adopt: bool = False,
    tell: Callable[[Change], object] = lambda change: None,
) -> list[Change]:
    """Make every change, removals only with `remove`; those that were made. `tell` hears of each before it is.

    What is there and not ours is not touched, unless `adopt` says that it is ours from now on. Raises ForeignResource
    before anything is changed; ApplyFailed afterwards, when all that could be done was; AwsFailed where not even
    comparing was possible.
    """
    done: list[Change] = []
    for _ in range(ROUNDS):
        changes = [change for change in plan(wanted) if remove or change.action != "remove"]
        _check(changes, adopt)
        raced: list[LakehouseError] = []
        errors: list[LakehouseError] = []
        for change in changes:
            tell(change)
            try:
                _make(change)
            except Raced as error:
                raced.append(error)
            except AwsUnavailable as error:
                # The rest would wait as long, for the same answer.
                raise ApplyFailed(done, [*errors, error]) from error
            except AwsFailed as error:
                errors.append(error)
            else:
                done.append(change)
                log.get().info("applied", action=change.action, kind=change.kind.name, key=change.key)
        if errors:
            raise ApplyFailed(done, [*errors, *raced])
        if not raced:
            return done
    raise ApplyFailed(done, raced)


def _check(changes: Sequence[Change], adopt: bool) -> None:
    foreign = [f"{change.kind.name} {change.key}" for change in changes if change.foreign]
    if foreign and not adopt:
        raise ForeignResource(
            f"There already, and not ours: {', '.join(foreign)}.",
            "Rename ours in the configuration, or say --adopt: what others put there is kept.",
        )


def _make(change: Change) -> None:
    if change.action == "create":
        change.kind.create(change.key, change.body)
    elif change.found is None:
        raise LakehouseError(f"{change.key} is not there to {change.action}.", "Compare again.")
    elif change.action == "update":
        change.kind.update(change.key, change.body, change.found)
    else:
        change.kind.delete(change.key, change.found)
