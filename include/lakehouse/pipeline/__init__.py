"""The steps every table goes through: extract, transform, gate, publish, advance the watermark.

Each step is a function of (contract, batch) that can be killed and called again. Airflow tasks and the command line
call the same ones. Not here: when they run (DAGs) and what they compute (`transform.sql`, `lakehouse.bronze`).
"""
