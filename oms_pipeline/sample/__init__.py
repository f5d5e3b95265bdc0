"""A simulated order management system on a real, embedded PostgreSQL: for the demo and the tests. Never used in production."""

from .server import start
from .business import Business, create_schema, open_business, simulate, state

__all__ = ["Business", "create_schema", "open_business", "simulate", "start", "state"]
