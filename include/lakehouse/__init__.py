"""The lakehouse library: contracts, ingestion, branches, gates, ledger. It never imports airflow."""

__version__ = "0.1.0"
