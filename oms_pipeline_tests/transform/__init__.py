"""The transform room: dbt models on landed rows."""
