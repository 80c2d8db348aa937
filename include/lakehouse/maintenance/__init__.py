"""Upkeep of tables: files made large and ordered, what nobody needs deleted. No row changes by it.

Every change of files goes by branch and fast-forward, like any other; readers and daily runs are not disturbed. Not
here: when it runs (`dags/optimize.py`) and how branches are collected (`lakehouse.delta.collect`).
"""

from lakehouse.maintenance.landing import expire_landing, expire_records
from lakehouse.maintenance.optimize import Optimized, optimize
from lakehouse.maintenance.tables import Upkeep, maintain, selected
from lakehouse.maintenance.vacuum import LEAST_HOURS, VacuumRefused, vacuum

__all__ = [
    "LEAST_HOURS",
    "Optimized",
    "Upkeep",
    "VacuumRefused",
    "expire_landing",
    "expire_records",
    "maintain",
    "optimize",
    "selected",
    "vacuum",
]
