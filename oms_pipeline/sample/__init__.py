"""A simulated order management system on a real, embedded PostgreSQL, for the demo and the tests.

dsn = start("var/oms")  # runs while this process does
open_business(dsn, "oms", date(2026, 1, 1), orders_per_day=1000)
simulate(dsn, days=60)  # goes on from where it stopped
"""

from .business import Business, add_column, create_schema, fat_day, open_business, simulate, state
from .life import sample_life
from .server import dsn, start

__all__ = [
    "Business",
    "add_column",
    "create_schema",
    "dsn",
    "fat_day",
    "open_business",
    "sample_life",
    "simulate",
    "start",
    "state",
]
