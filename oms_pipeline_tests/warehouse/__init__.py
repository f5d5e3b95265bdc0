"""The DuckDB file: real, over files landed from a real OMS."""
