"""Tokens and masks: what they keep of a value, which is not the value (ING-9)."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lakehouse.contracts.model import Column
from lakehouse.contracts.rules import MALFORMED_TOKEN
from lakehouse.ingest.protect import protect

VALUES = ["ann@example.com", "nobody", "", " \t", None, "ann@example.com"]


@pytest.mark.parametrize("kind", ["tokenise", "mask"])
@pytest.mark.parametrize("pattern", ["", "@"])
def test_what_is_left_of_a_value(kind: str, pattern: str) -> None:
    """Equal values stay equal, one that breaks the pattern says so, and a blank is no value."""
    column = Column("email", "STRING", protect=kind, pattern=pattern)
    found = protect(pa.array(VALUES), column, b"key").to_pylist()
    assert found[0] == found[5] != found[1]
    assert found[2:5] == [None, None, None]
    assert [value.startswith(MALFORMED_TOKEN) for value in found[:2]] == [False, bool(pattern)]
    assert not any(raw in value for raw in ("ann", "nobody") for value in found if value)


def test_masks_keep_two_characters_of_what_is_long_enough() -> None:
    found = protect(pa.array(["abcd", "abcde"]), Column("v", "STRING", protect="mask"), b"key")
    assert found.to_pylist() == ["****", "***de"]
    tokens = [protect(pa.array(["abcd"]), Column("v", "STRING", protect="tokenise"), key)[0] for key in (b"a", b"b")]
    assert tokens[0] != tokens[1]
