"""What `options` of a source in Snowflake or Redshift may say of `unload`: by which way rows go to S3."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

#: What `unload` says, by kind of source: {name: its form}.
UNLOAD = {
    "snowflake": {"to": r"s3://[^/\s]+(/\S*)?", "stage": r"\w+(\.\w+){0,2}"},
    "redshift": {"to": r"s3://[^/\s]+(/\S*)?", "iamRole": r"arn:\S+|default"},
}


def option_faults(kind: str, options: dict[str, Any], columns: Collection[str]) -> list[tuple[str, str, str]]:
    """Faults beyond types, as (option, what, remedy). No option speaks of `columns`."""
    value, form = options.get("unload"), UNLOAD[kind]
    if value is None:
        return []
    if set(value) != set(form):
        return [("unload", f"it needs exactly {' and '.join(form)}", "Mend its value.")]
    wrong = [key for key, pattern in form.items() if not re.fullmatch(pattern, str(value[key]))]
    return [("unload", f"{key} '{value[key]}' does not look right", "Mend its value.") for key in wrong]
