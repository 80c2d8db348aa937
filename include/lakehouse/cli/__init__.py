"""The `lakehouse` command line: thin, Airflow-free doors onto the library."""
