"""PII leaves the source only as a token or a mask: before anything is written (ING-9).

A token is HMAC-SHA256 under the key of the Airflow connection named in the configuration: equal values give equal
tokens, so joins still work. Where the column has a pattern, the token of a value that breaks it says so.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from lakehouse.contracts.model import Column
from lakehouse.contracts.rules import MALFORMED_TOKEN

if TYPE_CHECKING:
    import pyarrow as pa


def protect(values: pa.Array, column: Column, key: bytes) -> pa.Array:
    """`values` with each distinct one replaced by its token or mask; nulls stay null. In and out: strings.

    A blank becomes null: under a token or a mask, nobody could tell it from a value any more.
    """
    import pyarrow as pa

    encoded = values.cast(pa.string()).dictionary_encode()
    swap = _mask if column.protect == "mask" else _tokeniser(column, key)
    replaced = [swap(value) if value and not value.isspace() else None for value in encoded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(replaced, pa.string())).cast(pa.string())


def _mask(value: str) -> str:
    return "*" * max(len(value) - 2, 0) + value[-2:] if len(value) > 4 else "****"


def _tokeniser(column: Column, key: bytes) -> _Tokeniser:
    return _Tokeniser(key, re.compile(column.pattern) if column.pattern else None)


class _Tokeniser:
    def __init__(self, key: bytes, pattern: re.Pattern[str] | None) -> None:
        self.key, self.pattern = key, pattern

    def __call__(self, value: str) -> str:
        token = hmac.new(self.key, value.encode(), hashlib.sha256).hexdigest()[:32]
        wellformed = self.pattern is None or self.pattern.search(value)
        return token if wellformed else MALFORMED_TOKEN + token
