"""The whole graph: real PostgreSQL, Parquet, dbt, DuckDB and Dagster."""
