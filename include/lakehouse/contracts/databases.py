"""Options of a source in Snowflake or Redshift: `sliceRows`, rows of an extract slice; `unload`, by which way to S3."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

#: What `unload` says, by kind of source: {name: its form}.
UNLOAD = {
    "snowflake": {"to": r"s3://[^/\s]+(/\S*)?", "stage": r"\w+(\.\w+){0,2}"},
    "redshift": {"to": r"s3://[^/\s]+(/\S*)?", "iamRole": r"arn:\S+|default"},
}


def option_fault(kind: str, name: str, value: Any, columns: Collection[str]) -> str:
    """Why `value` is none of option `name`; "" when it is. No option speaks of `columns`."""
    if name == "sliceRows":
        return "" if value > 0 and not isinstance(value, bool) else "it is no number of rows above 0"
    form = UNLOAD[kind]
    if set(value) != set(form):
        return f"it needs exactly {' and '.join(form)}"
    wrong = [key for key, pattern in form.items() if not re.fullmatch(pattern, str(value[key]))]
    return f"{wrong[0]} '{value[wrong[0]]}' does not look right" if wrong else ""
