"""The one plugin file: what Airflow loads from plugins/. The package beside it is imported, not scanned."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from lakehouse_airflow import data_docs, preload


class LakehousePlugin(AirflowPlugin):
    """The lakehouse in Airflow: its listener, and Data Docs."""

    name = "lakehouse"
    listeners = [preload]
    fastapi_apps = [{"app": data_docs.app, "url_prefix": data_docs.PREFIX, "name": "data_docs"}]
    operator_extra_links = [data_docs.DataDocsLink()]
