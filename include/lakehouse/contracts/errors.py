"""Errors of contracts: always with file and line."""

from __future__ import annotations

from pathlib import Path

from lakehouse.errors import LakehouseError


class ContractError(LakehouseError):
    """A contract that cannot be used. `problems` holds (line, what, remedy) of everything found."""

    def __init__(self, path: Path, problems: list[tuple[int, str, str]]) -> None:
        """Join all problems, so that one run of the linter shows them all."""
        first = problems[0]
        rest = "".join(f"\n{path}:{line}: {what}\n  -> {remedy}" for line, what, remedy in problems[1:])
        super().__init__(f"{path}:{first[0]}: {first[1]}", first[2] + rest)
        self.path = path
        self.problems = problems
