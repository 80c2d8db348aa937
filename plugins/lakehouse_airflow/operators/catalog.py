"""RegisterCatalogOperator: a published table in the Glue catalog."""

from __future__ import annotations

from typing import Any

from lakehouse_airflow.operators.table import TableOperator, without_retry


class RegisterCatalogOperator(TableOperator):
    """Make the table's entry in Glue, and its LF-tags, what contract and Delta log say; returns what that changed.

    Safe to run again: it compares first, and mostly changes nothing.

    :param table: `layer.table`.
    """

    step = "register_catalog"
    ui_color = "#d5ede9"

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Compare and apply."""
        from lakehouse.provision import ForeignResource, TargetMissing
        from lakehouse.provision.register import register

        changes = without_retry(lambda: register(self.contract), ForeignResource, TargetMissing)
        return [change.to_row() for change in changes]
