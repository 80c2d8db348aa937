"""Which long tests a run takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.sample import LIMIT, choose

NAMES = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 300), max_size=12)


@given(NAMES, st.integers(0, 400), st.text(max_size=8))
def test_the_budget_is_spent_and_no_more_than_one_goes_beyond(seconds: dict[str, int], budget: int, seed: str) -> None:
    taken = choose(seconds, budget, seed)
    short = {name for name in seconds if seconds[name] <= LIMIT}
    assert taken <= short
    assert taken == short or sum(seconds[name] for name in taken) >= budget
    assert not taken or sum(sorted(seconds[name] for name in taken)[:-1]) < budget
    assert choose(dict(reversed(seconds.items())), budget, seed) == taken


def test_every_commit_takes_others_and_in_time_all() -> None:
    seconds = {f"test_{n}": 100.0 for n in range(8)}
    ways = [choose(seconds, 150, f"commit {n}") for n in range(40)]
    assert len({frozenset(way) for way in ways}) > 10
    assert set().union(*ways) == seconds.keys()
