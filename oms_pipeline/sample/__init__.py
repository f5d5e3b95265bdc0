"""A simulated order management system on a real, embedded PostgreSQL: for the demo and the tests. Never used in production."""

from .business import Business, add_column, create_schema, fat_day, open_business, simulate, state
from .server import start

__all__ = ["Business", "add_column", "create_schema", "fat_day", "open_business", "simulate", "start", "state"]
