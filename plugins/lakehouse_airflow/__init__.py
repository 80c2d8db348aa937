"""Airflow's side of the lakehouse: thin operators, the task groups of a table, hooks. No Spark code here."""
