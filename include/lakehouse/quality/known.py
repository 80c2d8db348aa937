"""What a gate knows besides the tables: the run's end, what is usual, what the source said, what was found before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Part:
    """Where rows of new files alone can break a rule (see `quality.part`)."""

    #: Delta table of the rows of the files that the candidate adds.
    path: str
    #: Rows of the whole candidate.
    rows: int
    #: Rules that need be looked at in these rows only, with the condition that confines the other rows they are held
    #: against: the candidate's for unique, those of the other table for reference. "" where there is none.
    rules: Mapping[str, str]


@dataclass(frozen=True)
class Known:
    """Facts from outside the candidate, by rule name."""

    #: End of the run's interval: `${run_end}`.
    run_end: datetime | None = None
    #: The number of a compared rule that would be 100 %.
    usual: Mapping[str, float] = field(default_factory=dict)
    #: Of a source rule: (as landed, as the source says).
    figures: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    #: Rules whose number is taken but not judged this time, and why.
    unjudged: Mapping[str, str] = field(default_factory=dict)
    #: Single-column unique rules to be looked at by bits: whole numbers that lie close together (see `repeats`).
    dense: frozenset[str] = frozenset()
    #: Bad rows of rules that the candidate's files tell: by their statistics, or a column of whole numbers.
    counted: Mapping[str, int] = field(default_factory=dict)
    #: What of the candidate is looked at; None: all of it.
    part: Part | None = None
