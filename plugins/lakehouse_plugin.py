"""The one plugin file: what Airflow loads from plugins/. The package beside it is imported, not scanned."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from lakehouse_airflow import preload, sla


class LakehousePlugin(AirflowPlugin):
    """The lakehouse in Airflow: its listeners."""

    name = "lakehouse"
    listeners = [preload, sla]
