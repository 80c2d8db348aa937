"""Spark as batch jobs: the package a job needs, the arguments that start it, and what happens inside its driver.

Not for starting jobs: spark-submit does, or Airflow's operators (see `lakehouse_airflow.operators`).
"""
