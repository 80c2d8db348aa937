"""A seeded shop that imitates life in the source systems: generated day by day, applied through real clients.

Not a source of random data: the same configuration gives the same rows on every machine.
"""

from lakehouse.sandbox.shop.model import Change, DayChanges, Planted, ShopConfig, ShopError
from lakehouse.sandbox.shop.simulation import Shop

__all__ = ["Change", "DayChanges", "Planted", "Shop", "ShopConfig", "ShopError"]
