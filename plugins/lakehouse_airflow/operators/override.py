"""OverrideOperator: lets one failed candidate through its gate, on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lakehouse_airflow.operators.table import TableOperator, without_retry


class OverrideOperator(TableOperator):
    """Override the gate of `table` for one candidate, once. Clear the table's `dq_gate` afterwards.

    :param table: `layer.table`.
    :param candidate: the fingerprint that the failed gate names, or its beginning; "" only shows what it found last.
    :param reason: why; kept in ops.overrides.
    """

    ui_color = "#f5e6c8"
    template_fields: Sequence[str] = ("table", "candidate", "reason")

    def __init__(self, *, candidate: str, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.candidate = candidate
        self.reason = reason

    def execute(self, context: Any) -> dict[str, Any]:
        """Put it on record, in the name of whoever triggered the run; returns it."""
        from dataclasses import asdict

        from lakehouse.quality.found import found
        from lakehouse.quality.override import OverrideRefused, grant

        if not self.candidate:
            failed = [row for row in found(self.contract.name) if not row["success"]]
            names = ("candidate", "rule", "severity", "observed")
            return {"failed": [{name: row[name] for name in names} for row in failed], "next": "Name a candidate."}
        run = context["dag_run"]
        by = getattr(run, "triggering_user_name", None) or f"{run.dag_id}/{run.run_id}"
        name = self.contract.name
        given = without_retry(lambda: grant(name, self.candidate, by, self.reason), OverrideRefused)
        return {**asdict(given), "next": f"Clear {name.replace('.', '_')}.dq_gate with what is downstream."}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """None: no data moves."""
        return None

    get_openlineage_facets_on_failure = get_openlineage_facets_on_complete
