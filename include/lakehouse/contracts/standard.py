"""Checks a document against the published JSON schema of ODCS 3.1, naming lines."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from lakehouse.contracts.document import Document

Problem = tuple[int, str, str]


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft201909Validator
    from open_data_contract_standard.model import OpenDataContractStandard

    return Draft201909Validator(json.loads(OpenDataContractStandard.json_schema()))


def violations(document: Document) -> list[Problem]:
    """Everything in `document` that ODCS 3.1 does not allow, as (line, what, remedy)."""
    # YAML reads bare dates as dates; JSON schema knows strings only.
    data = json.loads(json.dumps(document.data, default=str))
    found = []
    for error in sorted(_validator().iter_errors(data), key=lambda e: list(map(str, e.absolute_path))):
        if _overreach(error):
            continue
        at = tuple(error.absolute_path)
        what = f"{'.'.join(map(str, at)) or 'contract'}: {error.message[:200]}"
        found.append((document.line(at), what, "Follow the Open Data Contract Standard 3.1 for this element."))
    return found


def _overreach(error: Any) -> bool:
    """Whether the schema asks for more than the standard: its rule for maps also hits columns without a logicalType."""
    return (
        error.validator == "required"
        and error.message.startswith("'map'")
        and isinstance(error.instance, dict)
        and "logicalType" not in error.instance
    )
