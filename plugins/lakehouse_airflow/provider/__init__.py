"""This project as an Airflow provider: what Airflow's command line learns from it.

Found by the entry point `apache_airflow_provider` in pyproject.toml. Loaded with every `airflow` command: imports
nothing.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """What Airflow asks a provider for; `package-name` is that of the distribution."""
    return {
        "package-name": "lakehouse",
        "name": "Lakehouse",
        "description": "`airflow dags backfill` as Airflow 2 had it, over the backfills of Airflow 3.",
        "cli": ["lakehouse_airflow.provider.definition.commands"],
    }
