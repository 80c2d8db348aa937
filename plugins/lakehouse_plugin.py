"""The one plugin file: what Airflow loads from plugins/. The package beside it is imported, not scanned."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin


class LakehousePlugin(AirflowPlugin):
    """Makes the lakehouse operators known to Airflow under one name."""

    name = "lakehouse"
