"""The one plugin file: what Airflow loads from plugins/. The package beside it is imported, not scanned."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from lakehouse_airflow import data_docs, pages, preload, sla


class LakehousePlugin(AirflowPlugin):
    """The lakehouse in Airflow: its listeners, and pages that its tasks link to."""

    name = "lakehouse"
    listeners = [preload, sla]
    operator_extra_links = [pages.LedgerLink(), pages.QuarantineLink(), data_docs.DataDocsLink()]
    fastapi_apps = [
        {"app": pages.serve, "url_prefix": pages.PREFIX, "name": "lakehouse"},
        {"app": data_docs.app, "url_prefix": data_docs.PREFIX, "name": "data_docs"},
    ]
