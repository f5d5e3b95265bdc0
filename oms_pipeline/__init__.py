"""OMS Pipeline: an order management system's days, from its database to the marts, as one Dagster asset graph."""
