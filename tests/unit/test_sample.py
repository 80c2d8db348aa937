"""Which long tests a run takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.sample import choose

NAMES = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 300), max_size=12)


@given(NAMES, st.integers(0, 400), st.text(max_size=8))
def test_what_is_taken_fits_and_nothing_more_would(seconds: dict[str, int], budget: int, seed: str) -> None:
    taken = choose(seconds, budget, seed)
    left = budget - sum(seconds[name] for name in taken)
    assert left >= 0
    assert all(seconds[name] > left for name in seconds.keys() - taken)
    assert choose(dict(reversed(seconds.items())), budget, seed) == taken


def test_every_commit_takes_others_and_in_time_all() -> None:
    seconds = {f"test_{n}": 100.0 for n in range(8)}
    ways = [choose(seconds, 200, f"commit {n}") for n in range(40)]
    assert len({frozenset(way) for way in ways}) > 10
    assert set().union(*ways) == seconds.keys()
