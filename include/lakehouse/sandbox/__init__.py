"""The sandbox: stand-ins of every outside system, and Airflow, as processes of this machine.

Start and end it with `lakehouse.sandbox.stack`. Everything it keeps lies under {home}/sandbox and {home}/airflow, so
two checkouts do not disturb each other. Not for production: nothing outside this package may need it.
"""
