"""PII leaves the source only as a token or a mask: before anything is written (ING-9).

A token is HMAC-SHA256 under the key of the Airflow connection named in the configuration: equal values give equal
tokens, so joins still work. Where the column has a pattern, token and mask of a value that breaks it say so.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from functools import partial
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
    swap = _mask if column.protect == "mask" else partial(_token, key)
    pattern = re.compile(column.pattern or "")
    replaced = [
        (swap(value) if pattern.search(value) else MALFORMED_TOKEN + swap(value))
        if value and not value.isspace()
        else None
        for value in encoded.dictionary.to_pylist()
    ]
    return pa.DictionaryArray.from_arrays(encoded.indices, pa.array(replaced, pa.string())).cast(pa.string())


def _mask(value: str) -> str:
    return "*" * max(len(value) - 2, 0) + value[-2:] if len(value) > 4 else "****"


def _token(key: bytes, value: str) -> str:
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32]
